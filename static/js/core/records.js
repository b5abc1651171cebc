/**
 * Records in IndexedDB. A record is a *head*, small, from which lists are made, and *parts* by name: bytes or files that
 * are written and read one by one. It knows nothing of what they hold. Every method may reject: storage can be full,
 * forbidden or broken, and the caller says so.
 *
 * Several tabs write to one store. Every state of a record has a token, and who writes names the tokens of the states that
 * it knows: what somebody else has written meanwhile is never written over.
 *
 * @typedef {{id: string, updated: number, token?: string}} Head heads of the first version of this store have no token
 * @typedef {Map<string, Uint8Array | Blob | null>} Parts null: to be removed
 * @typedef {"written" | "newer" | "gone"} Outcome `newer`: there is a state that the writer did not know; `gone`: there was
 *   to be one, and there is none. Nothing is written then
 */

import { forgetLeft, leaveAtOnce, leftAtOnce } from "./left.js";

/** What stands for the state of a record that has no token. */
const FIRST = "first";
const HEADS = "paintings";
const PARTS = "parts";
/** What pages that were closed could not finish writing. */
const LEFT = "left";
const VERSION = 2;

/** @template {Head} T */
export class Records {
  /** @param {string} database */
  constructor(database) {
    this.database = database;
    /** @type {Promise<IDBDatabase> | null} */
    this.opening = null;
    /** @type {IDBDatabase | null} */
    this.opened = null;
  }

  /** @returns {Promise<T[]>} the latest first */
  async heads() {
    const database = await this.#open();
    const transaction = database.transaction(HEADS, "readonly");
    /** @type {T[]} */
    const heads = await answerOf(transaction.objectStore(HEADS).getAll());
    return heads.sort((a, b) => b.updated - a.updated);
  }

  /** @param {string} id @returns {Promise<{head: T, parts: Map<string, Uint8Array | Blob>} | undefined>} */
  async get(id) {
    const database = await this.#open();
    const transaction = database.transaction([HEADS, PARTS], "readonly");
    const parts = transaction.objectStore(PARTS);
    const [head, keys, values] = await Promise.all([
      answerOf(transaction.objectStore(HEADS).get(id)),
      answerOf(parts.getAllKeys(partsOf(id))),
      answerOf(parts.getAll(partsOf(id))),
    ]);
    if (!head) return undefined;
    return { head, parts: new Map(keys.map((key, i) => [/** @type {string[]} */ (key)[1], values[i]])) };
  }

  /** @param {string} id @param {string} name @returns {Promise<Uint8Array | Blob | undefined>} */
  async part(id, name) {
    const database = await this.#open();
    return answerOf(database.transaction(PARTS, "readonly").objectStore(PARTS).get([id, name]));
  }

  /**
   * Write a head and those parts that differ.
   *
   * @param {T} head
   * @param {Parts} parts
   * @param {readonly string[]} known tokens of the states that may be written over; none: there must not be any yet
   * @param {string} [writer] who has left something unfinished, and came back
   * @returns {Promise<Outcome>} once it is on the disk
   */
  async write(head, parts, known, writer) {
    const database = await this.#open();
    // Not LEFT where it can be helped: what a page writes there as it goes would have to wait for this.
    const transaction = database.transaction(writer ? [HEADS, PARTS, LEFT] : [HEADS, PARTS], "readwrite");
    const there = await answerOf(transaction.objectStore(HEADS).get(head.id));
    const outcome = outcomeOf(there, known);
    if (outcome === "written") {
      put(transaction, head, parts);
      if (writer) transaction.objectStore(LEFT).delete(writer);
    }
    await completed(transaction);
    if (writer && outcome === "written") forgetLeft(writer);
    return outcome;
  }

  /**
   * The page is about to go, and nobody will be there to hear whether somebody else has written meanwhile: what is to be
   * written is laid aside. Whoever comes next takes it up.
   *
   * @param {T} head
   * @param {Parts} parts
   * @param {readonly string[]} known
   * @param {string} writer
   */
  leave(head, parts, known, writer) {
    const left = { head, parts: [...parts], known };
    if (leaveAtOnce(writer, left) || !this.opened) return;
    const transaction = this.opened.transaction(LEFT, "readwrite");
    transaction.objectStore(LEFT).put(left, writer);
    // Left to itself the browser asks the page once more before it commits, and a page that is closed meanwhile does not
    // answer.
    transaction.commit();
  }

  /**
   * Finish what was left unfinished.
   *
   * @param {(head: T) => T} copyOf the head of a record of its own, for what somebody else has written over meanwhile
   * @returns {Promise<T[]>} the copies
   */
  async recover(copyOf) {
    const database = await this.#open();
    const transaction = database.transaction([HEADS, PARTS, LEFT], "readwrite");
    const left = transaction.objectStore(LEFT);
    const copies = [];
    const atOnce = leftAtOnce();
    for (const { head, parts, known } of [
      ...(await answerOf(left.getAll())),
      ...atOnce.map((one) => one.left),
    ]) {
      const there = await answerOf(transaction.objectStore(HEADS).get(head.id));
      if (there?.token === head.token) continue;
      if (outcomeOf(there, known) !== "newer") {
        put(transaction, head, new Map(parts));
        continue;
      }
      const copy = copyOf(head);
      await copyParts(transaction, head.id, copy.id);
      put(transaction, copy, new Map(parts));
      copies.push(copy);
    }
    left.clear();
    await completed(transaction);
    for (const { key } of atOnce) forgetLeft(key);
    return copies;
  }

  /** A record as it is, under another head. @param {string} id @param {T} head */
  async copy(id, head) {
    const database = await this.#open();
    const transaction = database.transaction([HEADS, PARTS], "readwrite");
    await copyParts(transaction, id, head.id);
    put(transaction, head, new Map());
    await completed(transaction);
  }

  /** @param {string} id */
  async remove(id) {
    const database = await this.#open();
    const transaction = database.transaction([HEADS, PARTS], "readwrite");
    transaction.objectStore(HEADS).delete(id);
    transaction.objectStore(PARTS).delete(partsOf(id));
    await completed(transaction);
  }

  /** @returns {Promise<IDBDatabase>} */
  #open() {
    this.opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.database, VERSION);
      request.onupgradeneeded = ({ oldVersion }) => {
        const { result } = request;
        if (oldVersion < 1)
          result.createObjectStore(HEADS, { keyPath: "id" }).createIndex("updated", "updated");
        result.createObjectStore(PARTS);
        result.createObjectStore(LEFT);
      };
      request.onsuccess = () => {
        this.opened = request.result;
        const letGo = () => {
          this.opening = null;
          this.opened = null;
        };
        // Another tab with a newer page wants to upgrade: let go, and open again at the next call.
        request.result.onversionchange = () => {
          request.result.close();
          letGo();
        };
        // The browser has thrown the storage away, because somebody has told it to or the disk has failed.
        request.result.onclose = letGo;
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
}

/** @param {Head | undefined} there @param {readonly string[]} known @returns {Outcome} */
function outcomeOf(there, known) {
  if (!there) return known.length > 0 ? "gone" : "written";
  return known.includes(tokenOf(there)) ? "written" : "newer";
}

/** @param {Head} head */
export function tokenOf(head) {
  return head.token ?? FIRST;
}

/** All of it or nothing. @param {IDBTransaction} transaction @param {Head} head @param {Parts} parts */
function put(transaction, head, parts) {
  const store = transaction.objectStore(PARTS);
  try {
    transaction.objectStore(HEADS).put(head);
    for (const [name, value] of parts) {
      if (value === null) store.delete([head.id, name]);
      else store.put(value, [head.id, name]);
    }
  } catch (error) {
    // What was asked for before it would be written all the same.
    transaction.abort();
    throw error;
  }
}

/** @param {IDBTransaction} transaction @param {string} from @param {string} to */
async function copyParts(transaction, from, to) {
  const store = transaction.objectStore(PARTS);
  const [keys, values] = await Promise.all([
    answerOf(store.getAllKeys(partsOf(from))),
    answerOf(store.getAll(partsOf(from))),
  ]);
  for (const [i, key] of keys.entries()) store.put(values[i], [to, /** @type {string[]} */ (key)[1]]);
}

/** @param {string} id */
function partsOf(id) {
  return IDBKeyRange.bound([id], [id, []]);
}

/**
 * @template R
 * @param {IDBRequest<R>} request
 * @returns {Promise<R>}
 */
function answerOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransaction} transaction whose last request has been made */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    // A request that fails aborts it, and only then the transaction knows the error.
    transaction.onabort = () => reject(transaction.error);
    transaction.commit();
  });
}
