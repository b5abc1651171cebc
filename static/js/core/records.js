/**
 * One IndexedDB store of records with an `id` and an `updated` time. It knows nothing of what they hold. Every method
 * may reject: storage can be full, forbidden or broken, and the caller says so.
 *
 * @template {{id: string, updated: number}} T
 */
export class Records {
  /**
   * @param {string} database
   * @param {string} store
   */
  constructor(database, store) {
    this.database = database;
    this.store = store;
    /** @type {Promise<IDBDatabase> | null} */
    this.opening = null;
  }

  /** @returns {Promise<IDBDatabase>} */
  #open() {
    this.opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.database, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(this.store, { keyPath: "id" }).createIndex("updated", "updated");
      };
      request.onsuccess = () => {
        // Another tab with a newer page wants to upgrade: let go, and open again at the next call.
        request.result.onversionchange = () => {
          request.result.close();
          this.opening = null;
        };
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
      request.onblocked = () => reject(new Error("another tab holds the storage open"));
    });
    this.opening.catch(() => {
      this.opening = null;
    });
    return this.opening;
  }

  /**
   * @template R
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest<R>} action
   * @returns {Promise<R>} once the transaction is complete
   */
  async #run(mode, action) {
    const database = await this.#open();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(this.store, mode);
      const request = action(transaction.objectStore(this.store));
      // Left to itself the browser asks the page once more before it commits, and a page that is closed meanwhile
      // does not answer: what it wrote last would be undone.
      transaction.commit();
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      transaction.onerror = () => reject(transaction.error);
    });
  }

  /** @param {string} id @returns {Promise<T | undefined>} */
  get(id) {
    return this.#run("readonly", (store) => store.get(id));
  }

  /** @returns {Promise<T[]>} the latest first */
  async all() {
    /** @type {T[]} */
    const records = await this.#run("readonly", (store) => store.getAll());
    return records.sort((a, b) => b.updated - a.updated);
  }

  /** @param {T} record */
  async put(record) {
    await this.#run("readwrite", (store) => store.put(record));
  }

  /** @param {string} id */
  async remove(id) {
    await this.#run("readwrite", (store) => store.delete(id));
  }
}
