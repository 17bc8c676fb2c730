"""RSA keys of 2048 bits whose primes were chosen badly: real ones, with which anybody signs who has factored them."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

_HALF = 1024
_SMALL_PRIMES = [number for number in range(2, 702) if all(number % other for other in range(2, number))]
_PRIMORIAL = math.prod(_SMALL_PRIMES)  # of the first 126 primes, as for moduli of 1984 to 3936 bits


def _first_prime(candidates: Iterator[int]) -> int:
    return next(
        number for number in candidates if math.gcd(number, _PRIMORIAL) == 1 and pow(2, number - 1, number) == 1
    )


def _of_roca() -> Iterator[int]:
    """Primes k * M + 65537 ** a mod M, as section 2 of the paper has it."""
    quarter = 2 ** (_HALF - 2)
    while True:
        factor = (3 * quarter + secrets.randbelow(quarter // 2)) // _PRIMORIAL + 1
        yield factor * _PRIMORIAL + pow(65537, secrets.randbelow(2**60), _PRIMORIAL)


def _from(first: int) -> Iterator[int]:
    while True:
        first += 2
        yield first


def _key(p: int, q: int) -> rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(65537, p * q)
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key()


@cache
def roca() -> rsa.RSAPrivateKey:
    return _key(_first_prime(_of_roca()), _first_prime(_of_roca()))


@cache
def close_primes() -> rsa.RSAPrivateKey:
    p = _first_prime(_from(secrets.randbits(_HALF) | 3 << _HALF - 2 | 1))
    return _key(p, _first_prime(_from(p)))


WEAK: dict[str, tuple[Callable[[], rsa.RSAPrivateKey], str]] = {
    "ROCA": (roca, "CVE-2017-15361"),
    "close primes": (close_primes, "CVE-2022-26320"),
}
