"""How much one client, one request and one worker process may take, each as a named limit."""

from __future__ import annotations

import msgspec

MEBIBYTE = 1 << 20


class DoorLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the door, of one worker each; requests a second are counted over all workers.

    `bundle_bytes_max` bounds a transaction or batch, `resource_bytes_max` any other resource,
    `form_bytes_max` a search sent by POST; all three count decompressed bytes. `held_bytes_max`
    bounds the bodies of all requests together. `surplus_bytes_max` is how much of a refused body
    is still read and thrown away, so that a client that writes before it reads sees the refusal.
    `head_seconds_max` and `head_bytes_max` bound what comes before a body.

    `running_max` requests run at once and `waiting_max` more wait for at most
    `waiting_seconds_max`; one client may hold `client_running_max` of both.
    `client_requests_per_second` refills what each client may spend, `client_burst_requests` is
    what it may save up. `stranger_*` are the same for whoever has no valid token, by address.
    The unit stands last in each name.

    `actor_seconds_max` is how long a token is believed without asking again: one that is taken
    away by hand in the database stops working after at most this time.

    `link_seconds_max` is how long a `next` link works;
    questions too long for one are kept so long, at most `questions_max` of an actor.
    `counts_max` is how many codes or months `$counts` counts, `counts_sample_max` how many records
    it looks at to find codes.
    `meta_rows_max` is how many records `$meta` of a type or of all reads for what they have.
    `latest_rows_max` is how many observations `$lastn` reads to find the latest of each code.
    `polls_per_second` is how often a job may be asked about, `polls_burst` how many such questions
    may be saved up. `jobs_open_max` is how many jobs of a kind a client may have under way.
    `compress_bytes_min` is the size of one packet: compressing less saves no time on the way.
    """

    resource_bytes_max: int = 8 * MEBIBYTE
    bundle_bytes_max: int = 64 * MEBIBYTE
    form_bytes_max: int = MEBIBYTE
    held_bytes_max: int = 256 * MEBIBYTE
    surplus_bytes_max: int = 256 * MEBIBYTE
    head_seconds_max: float = 20.0
    head_bytes_max: int = 64 * 1024
    address_bytes_max: int = 16 * 1024
    link_bytes_max: int = 6 * 1024
    questions_max: int = 200
    running_max: int = 64
    waiting_max: int = 256
    waiting_seconds_max: float = 5.0
    client_running_max: int = 128
    client_requests_per_second: float = 5000.0
    client_burst_requests: float = 10000.0
    stranger_requests_per_second: float = 50.0
    stranger_burst_requests: float = 500.0
    clients_max: int = 10_000
    request_seconds_max: float = 60.0
    bundle_seconds_max: float = 300.0
    body_seconds_max: float = 60.0
    actor_seconds_max: float = 2.0
    actors_max: int = 4096
    link_seconds_max: int = 3600
    count_default: int = 20
    count_max: int = 1000
    latest_rows_max: int = 5000
    meta_rows_max: int = 2000
    counts_max: int = 36
    counts_sample_max: int = 1000
    polls_per_second: float = 1.0
    polls_burst: float = 20.0
    jobs_open_max: int = 10
    compress_bytes_min: int = 1400
