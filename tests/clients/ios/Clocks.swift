// The clocks of Apple's systems, part of the library itself on others.
import Glibc

let CLOCK_UPTIME_RAW = CLOCK_MONOTONIC

func clock_gettime_nsec_np(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
