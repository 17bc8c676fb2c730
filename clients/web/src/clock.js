/**
 * The clocks of a keeper, and waiting by them (BEHAVIOUR.md, sections 7 and 8).
 *
 * Seconds throughout. No browser's `performance.now()` goes on in sleep on all systems, and `Date.now()` can be set. So
 * `elapsed()` adds up the larger step of the two between two looks, and a wait looks at least every 10 seconds: a clock
 * that is set back while the device is awake costs nothing, and an hour of sleep is seen.
 */

const MAX_SECONDS_BETWEEN_LOOKS = 10;

/**
 * What a keeper needs of the machine it runs on. Tests bring their own.
 * @typedef {object} Surroundings
 * @property {() => number} awake Seconds of a clock that nobody sets; it may stop in sleep.
 * @property {() => number} wall Seconds of the clock of day.
 * @property {(seconds: number, callback: () => void) => () => void} timer Returns what cancels it.
 * @property {(callback: () => void) => () => void} listen Calls back when the machine wakes up or is online again.
 * @property {() => number} random From 0 to 1.
 */

/** @returns {Surroundings} */
export function browser() {
  return {
    awake: () => performance.now() / 1000,
    wall: () => Date.now() / 1000,
    timer(seconds, callback) {
      const number = setTimeout(callback, seconds * 1000);
      return () => clearTimeout(number);
    },
    listen: onWakeUp,
    random: Math.random,
  };
}

/**
 * @param {() => void} callback
 * @returns {() => void}
 */
function onWakeUp(callback) {
  const shown = () => document.visibilityState === "visible" && callback();
  // Node and workers have no document, and Node has no events of its own.
  globalThis.document?.addEventListener("visibilitychange", shown);
  for (const event of ["pageshow", "online"]) globalThis.addEventListener?.(event, callback);
  return () => {
    globalThis.document?.removeEventListener("visibilitychange", shown);
    for (const event of ["pageshow", "online"]) globalThis.removeEventListener?.(event, callback);
  };
}

export class Clock {
  #surroundings;
  #elapsed = 0;
  #awake;
  #wall;
  #woken = false;
  #hurried = false;
  /** @type {(() => void) | null} */
  #look = null;

  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.#surroundings = surroundings;
    this.#awake = surroundings.awake();
    this.#wall = surroundings.wall();
  }

  /** Of a clock that goes on in sleep; it began at 0 with this object. */
  elapsed() {
    const awake = this.#surroundings.awake();
    const wall = this.#surroundings.wall();
    this.#elapsed += Math.max(awake - this.#awake, wall - this.#wall);
    this.#awake = awake;
    this.#wall = wall;
    return this.#elapsed;
  }

  /** Of a clock that only runs while the device is awake. */
  awake() {
    return this.#surroundings.awake();
  }

  /** Something has changed: whoever waits looks at the clock again, and may go on early. */
  wake() {
    this.#woken = true;
    this.#look?.();
  }

  /** Whoever waits goes on now. */
  hurry() {
    this.#hurried = true;
    this.#look?.();
  }

  /** Forgets that something has changed: from here on it takes another change to cut a wait short. */
  settle() {
    this.#woken = false;
    this.#hurried = false;
  }

  /**
   * Waits `seconds`, or `earliest` if the device has woken up, or until the time awake is `until`. One wait at a time.
   * Rejects with the signal's reason.
   * @param {number} seconds
   * @param {AbortSignal} signal
   * @param {{earliest?: number, until?: number}} [limits]
   * @returns {Promise<void>}
   */
  wait(seconds, signal, { earliest = seconds, until = Infinity } = {}) {
    const began = this.elapsed();
    return new Promise((resolve, reject) => {
      let cancel = () => {};
      /** @param {() => void} settle */
      const finish = (settle) => {
        cancel();
        signal.removeEventListener("abort", abort);
        this.#look = null;
        settle();
      };
      const abort = () => finish(() => reject(signal.reason));
      const look = () => {
        cancel();
        const passed = this.elapsed() - began;
        const left = Math.min((this.#woken ? Math.min(earliest, seconds) : seconds) - passed, until - this.awake());
        if (this.#hurried || left <= 0) finish(resolve);
        else cancel = this.#surroundings.timer(Math.min(left, MAX_SECONDS_BETWEEN_LOOKS), look);
      };
      this.#look = look;
      signal.addEventListener("abort", abort);
      if (signal.aborted) abort();
      else look();
    });
  }
}
