/** @returns {number} milliseconds, never going back */
export function now() {
  return performance.now();
}

/**
 * A task that runs once per animation frame however often it is asked for; in a hidden tab, where there are no
 * frames, a little later.
 *
 * @param {() => void} task
 * @returns {() => void} asks for it
 */
export function perFrame(task) {
  let asked = false;
  const run = () => {
    asked = false;
    task();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (document.hidden) setTimeout(run, 50);
    else requestAnimationFrame(run);
  };
}
