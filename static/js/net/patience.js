/** How long to leave a server alone. Pure: chance is handed in. */

const FIRST_RETRY = 400;
const LAST_RETRY = 10_000;

/**
 * @param {number} attempt 0 for the first
 * @param {number} random 0 ≤ x < 1, so that a crowd does not come back in step
 * @returns {number} milliseconds to wait
 */
export function retryDelay(attempt, random) {
  return Math.min(LAST_RETRY, FIRST_RETRY * 2 ** attempt) * (0.5 + random);
}

/**
 * @param {number} least milliseconds that the server asked for, of everybody alike
 * @param {number} random 0 ≤ x < 1
 * @returns {number} milliseconds: never less, and up to half as much again
 */
export function notBefore(least, random) {
  return least * (1 + random / 2);
}
