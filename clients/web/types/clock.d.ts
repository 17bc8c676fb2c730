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
export function browser(): Surroundings;
export class Clock {
    /** @param {Surroundings} surroundings */
    constructor(surroundings: Surroundings);
    /** Of a clock that goes on in sleep; it began at 0 with this object. */
    elapsed(): number;
    /** Of a clock that only runs while the device is awake. */
    awake(): number;
    /** Something has changed: whoever waits looks at the clock again, and may go on early. */
    wake(): void;
    /** Whoever waits goes on now. */
    hurry(): void;
    /** Forgets that something has changed: from here on it takes another change to cut a wait short. */
    settle(): void;
    /**
     * Waits `seconds`, or `earliest` if the device has woken up, or until the time awake is `until`. One wait at a time.
     * Rejects with the signal's reason.
     * @param {number} seconds
     * @param {AbortSignal} signal
     * @param {{earliest?: number, until?: number}} [limits]
     * @returns {Promise<void>}
     */
    wait(seconds: number, signal: AbortSignal, { earliest, until }?: {
        earliest?: number;
        until?: number;
    }): Promise<void>;
    #private;
}
/**
 * What a keeper needs of the machine it runs on. Tests bring their own.
 */
export type Surroundings = {
    /**
     * Seconds of a clock that nobody sets; it may stop in sleep.
     */
    awake: () => number;
    /**
     * Seconds of the clock of day.
     */
    wall: () => number;
    /**
     * Returns what cancels it.
     */
    timer: (seconds: number, callback: () => void) => () => void;
    /**
     * Calls back when the machine wakes up or is online again.
     */
    listen: (callback: () => void) => () => void;
    /**
     * From 0 to 1.
     */
    random: () => number;
};
