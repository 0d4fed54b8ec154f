"""Every setting of a node: one typed table, with a sentence for each and what it may be.

Where their values come from stands in `settings_in_force.py`. The page `docs/how-to/settings.md` is
generated from this table.
"""

from __future__ import annotations

import os
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from quanmin.api.export import ExportLimits
from quanmin.api.limits import DoorLimits
from quanmin.base.jobs import JobLimits
from quanmin.fhir.grammar import QueryLimits
from quanmin.node.key_settings import KeySettings
from quanmin.node.page_settings import FirstPageSettings
from quanmin.node.walls import WallLimits
from quanmin.records.context import StoreLimits
from quanmin.records.profiles import ValidationLimits
from quanmin.records.reindexing import ReindexLimits
from quanmin.terminology import TermLimits
from quanmin.trust.allowances import QuotaLimits
from quanmin.trust.deciding.rule_settings import RuleSettings
from quanmin.trust.imports import ImportLimits
from quanmin.trust.lifecycle.registered import ProcessingSettings
from quanmin.trust.lifecycle.retention_rules import RetentionSettings
from quanmin.trust.log.limits import AccessLogLimits
from quanmin.trust.sign_in import SignInLimits
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.signatures import SignatureSettings
from quanmin.web.page_settings import PageSettings
from quanmin.workflow.notices import NoticeSettings
from quanmin.workflow.outgoing import OutgoingSettings

PREFIX: Final = "QUANMIN_"
_UNITS: Final = (
    ("per_second", "a second"),
    ("mebibytes", "MiB"),
    ("bytes", "bytes"),
    ("seconds", "seconds"),
    ("minutes", "minutes"),
    ("hours", "hours"),
    ("days", "days"),
    ("months", "months"),
)


def home_folder() -> Path:
    """Where a node lives unless told otherwise: a system folder for root, else the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/quanmin")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "quanmin"


class NodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The node itself."""

    directory: Annotated[
        Path,
        Meta(
            description="The folder of everything the node keeps: database, keys, tokens, logs. "
            "As root `/var/lib/quanmin`, else `~/.local/share/quanmin`."
        ),
    ] = msgspec.field(default_factory=home_folder)
    title_zh: Annotated[
        str, Meta(description="The node's name on Chinese pages.", min_length=1, max_length=60)
    ] = "全民健康信息平台"
    title_en: Annotated[
        str, Meta(description="The node's name on English pages.", min_length=1, max_length=60)
    ] = "Population Health Platform"
    level: Annotated[
        Literal["county", "city", "province", "nation"],
        Meta(description="The node's rank; it decides which applications are offered."),
    ] = "county"
    id_prefix: Annotated[
        str,
        Meta(
            description="What the ids of this node's own records begin with; fixed at the first "
            "start. Give each node of a province its own.",
            pattern=r"^[A-Za-z0-9.\-]{1,16}$",
        ),
    ] = "q"
    base_url: Annotated[
        str,
        Meta(
            description="The address under which others know this node's records, such as "
            "`https://health.example.org/fhir`: references that begin with it are references to "
            "its own records. Set it before the first records; empty when there is none.",
            pattern=r"^(https?://[^\s?#]+)?$",
        ),
    ] = ""
    zone: Annotated[
        str, Meta(description="The time zone that dates without one are read in, by its IANA name.")
    ] = "Asia/Shanghai"
    cipher_suite: Annotated[
        Literal["international", "gm"],
        Meta(
            description="What records are encrypted with: AES-256-GCM, or SM4-GCM of the national "
            "algorithms. Whoever is new follows a change at once; `quanmin keys rotate --data` "
            "has the others follow, who stay readable."
        ),
    ] = "international"
    signature_suite: Annotated[
        Literal["international", "gm"],
        Meta(
            description="What the node signs with: ECDSA on P-256 with SHA-256, or SM2 with SM3 of "
            "the national algorithms. What was signed before a change stays verifiable."
        ),
    ] = "international"
    port: Annotated[
        int,
        Meta(
            description="The port of the door and the pages, on this machine only.", ge=1, le=65535
        ),
    ] = 8080
    tls_certificate: Annotated[
        Path | None,
        Meta(
            description="The door's certificate with those above it, as PEM: the door then speaks "
            "TLS 1.3 only. A renewed file is taken up within a minute. Nothing: no TLS, for what "
            "stands in front to speak it."
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Meta(description="The private key of the door's certificate, as PEM without a passphrase."),
    ] = None
    workers: Annotated[
        int, Meta(description="How many processes answer requests; as many as cores.", ge=1, le=256)
    ] = 2
    start_seconds_max: Annotated[
        float, Meta(description="How long the workers may take to become ready.", gt=0)
    ] = 60.0
    drain_seconds_max: Annotated[
        int,
        Meta(description="How long a stopping worker may finish the requests it has begun.", ge=1),
    ] = 20
    link_hours_max: Annotated[int, Meta(description="How long a link of a page works.", ge=1)] = 24
    form_bytes_max: Annotated[
        int, Meta(description="The largest form that a page takes, in bytes.", ge=4096)
    ] = 262_144
    form_fields_max: Annotated[
        int, Meta(description="How many fields a form of a page may have.", ge=100)
    ] = 2000


class PostgresSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The database: embedded, or any other by its DSN."""

    dsn: Annotated[
        str,
        Meta(
            description="An external server's address (`postgresql://user@host/database`); empty "
            "for the embedded one. Keep a password in a passfile (`?passfile=...`) rather than "
            "here."
        ),
    ] = ""
    worker_dsn: Annotated[
        str,
        Meta(
            description="The same external database for whom requests are answered with: an "
            "account that owns no table, without which a node cannot be divided among tenants. "
            "Empty: the account of `postgres.dsn`. The embedded server has such an account."
        ),
    ] = ""
    user: Annotated[
        str,
        Meta(
            description="The account the embedded server runs under when the node is started by "
            "root; made when missing.",
            pattern=r"^[a-z_][a-z0-9_\-]{0,31}$",
        ),
    ] = "quanmin"
    programs: Annotated[
        Path,
        Meta(
            description="Where root keeps a copy of PostgreSQL's programs that the account can "
            "read."
        ),
    ] = Path("/var/lib/quanmin/postgresql")
    shared_buffers_mebibytes: Annotated[
        int,
        Meta(
            description="Memory of the embedded server's page cache; 0: a quarter of the machine, "
            "8 GiB at most.",
            ge=0,
        ),
    ] = 0
    work_mem_mebibytes: Annotated[
        int, Meta(description="Memory one sort or hash may take before it goes to disk.", ge=1)
    ] = 32
    maintenance_work_mem_mebibytes: Annotated[
        int, Meta(description="Memory of one index build or vacuum.", ge=16)
    ] = 256
    max_wal_size_mebibytes: Annotated[
        int, Meta(description="How much log may gather between two checkpoints.", ge=128)
    ] = 8192
    wal_compression: Annotated[
        Literal["off", "pglz"],
        Meta(
            description="Whether whole pages in the log are compressed: less disk, more "
            "processor. Records are encrypted and do not shrink."
        ),
    ] = "off"
    connections_max: Annotated[
        int, Meta(description="How many connections the embedded server takes.", ge=20, le=2000)
    ] = 100
    connections_per_worker_max: Annotated[
        int, Meta(description="How many connections one worker holds at most.", ge=2, le=200)
    ] = 12
    start_seconds_max: Annotated[
        float,
        Meta(
            description="How long the server may take to start; after a crash it recovers first.",
            gt=0,
        ),
    ] = 300.0


class DiskSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The disk the embedded database is on."""

    free_bytes_min: Annotated[
        int,
        Meta(description="Below this much free space writes are refused and reads go on.", ge=0),
    ] = 2 << 30
    free_bytes_warned: Annotated[
        int, Meta(description="Below this much free space `doctor` and the log warn.", ge=0)
    ] = 10 << 30


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The node's own log, `node.log` in its folder."""

    severity: Annotated[
        Literal["debug", "information", "warning", "error"],
        Meta(description="The least severity that is written."),
    ] = "information"
    bytes_max: Annotated[
        int,
        Meta(
            description="A log larger than this is put aside at the next start; one old one is "
            "kept.",
            ge=65536,
        ),
    ] = 64 << 20


class BackupSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Backup of the embedded database."""

    directory: Annotated[
        Path | None,
        Meta(
            description="Where backups and the continuous log archive go, best on another "
            "machine's disk; none: no archive is kept. Changing it takes effect at the next "
            "start."
        ),
    ] = None
    archive_seconds_max: Annotated[
        int,
        Meta(
            description="The most that a lost disk can cost: the log is archived at least this "
            "often.",
            ge=1,
        ),
    ] = 60
    bases_kept: Annotated[
        int,
        Meta(
            description="How many base backups are kept: after a new one was made, older ones are "
            "removed, with the log that only they need. 0: all.",
            ge=0,
        ),
    ] = 0
    compression_level: Annotated[
        int, Meta(description="The zstd level of backups.", ge=1, le=19)
    ] = 3


class LoadSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Loading files from the command line."""

    batch_entries: Annotated[
        int,
        Meta(
            description="How many single resources are written in one transaction.", ge=1, le=10_000
        ),
    ] = 200
    file_bytes_max: Annotated[
        int, Meta(description="A file, or a line of NDJSON, larger than this is refused.", ge=1024)
    ] = 64 << 20
    writers: Annotated[
        int, Meta(description="How many transactions run at the same time.", ge=1, le=64)
    ] = 4


class RegisterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the registers decide."""

    posts_required: Annotated[
        bool,
        Meta(
            description="Whether doctors, nurses and others of whom `roles.toml` says so act in a"
            " post of the register only. Switch it off while the register is being filled; then"
            " whoever has no post acts as if there were none."
        ),
    ] = True


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a node."""

    node: NodeSettings = msgspec.field(default_factory=NodeSettings)
    postgres: PostgresSettings = msgspec.field(default_factory=PostgresSettings)
    first_page: FirstPageSettings = msgspec.field(default_factory=FirstPageSettings)
    disk: DiskSettings = msgspec.field(default_factory=DiskSettings)
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    access_log: AccessLogLimits = msgspec.field(default_factory=AccessLogLimits)
    backup: BackupSettings = msgspec.field(default_factory=BackupSettings)
    load: LoadSettings = msgspec.field(default_factory=LoadSettings)
    imports: ImportLimits = msgspec.field(default_factory=ImportLimits)
    jobs: JobLimits = msgspec.field(default_factory=JobLimits)
    export: ExportLimits = msgspec.field(default_factory=ExportLimits)
    tenants: WallLimits = msgspec.field(default_factory=WallLimits)
    oauth: OAuthLimits = msgspec.field(default_factory=OAuthLimits)
    quota: QuotaLimits = msgspec.field(default_factory=QuotaLimits)
    door: DoorLimits = msgspec.field(default_factory=DoorLimits)
    sign_in: SignInLimits = msgspec.field(default_factory=SignInLimits)
    external: ExternalSettings = msgspec.field(default_factory=ExternalSettings)
    search: QueryLimits = msgspec.field(default_factory=QueryLimits)
    terminology: TermLimits = msgspec.field(default_factory=TermLimits)
    validation: ValidationLimits = msgspec.field(default_factory=ValidationLimits)
    store: StoreLimits = msgspec.field(default_factory=StoreLimits)
    rules: RuleSettings = msgspec.field(default_factory=RuleSettings)
    registers: RegisterSettings = msgspec.field(default_factory=RegisterSettings)
    processing: ProcessingSettings = msgspec.field(default_factory=ProcessingSettings)
    reindex: ReindexLimits = msgspec.field(default_factory=ReindexLimits)
    retention: RetentionSettings = msgspec.field(default_factory=RetentionSettings)
    notices: NoticeSettings = msgspec.field(default_factory=NoticeSettings)
    outgoing: OutgoingSettings = msgspec.field(default_factory=OutgoingSettings)
    keys: KeySettings = msgspec.field(default_factory=KeySettings)
    pages: PageSettings = msgspec.field(default_factory=PageSettings)
    signatures: SignatureSettings = msgspec.field(default_factory=SignatureSettings)

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The node's time zone."""
        return zoneinfo.ZoneInfo(self.node.zone)

    @property
    def origin(self) -> str:
        """Where browsers find the pages: as it is set, else where others know the records, else on
        this machine, by the name for which browsers use passkeys without TLS. Where the door itself
        speaks TLS that is by `https`, so that cookies are for TLS only.
        """
        if self.sign_in.origin:
            return self.sign_in.origin.rstrip("/")
        if self.node.base_url:
            known = urlsplit(self.node.base_url)
            return f"{known.scheme}://{known.netloc}"
        scheme = "http" if self.node.tls_certificate is None else "https"
        return f"{scheme}://localhost:{self.node.port}"


# The limits of door and store are declared where they are kept; a sentence for each stands here.
_SENTENCES: Final = {
    "door.resource_bytes_max": "The largest body that is not a bundle, after decompression.",
    "door.bundle_bytes_max": "The largest transaction or batch, after decompression.",
    "door.form_bytes_max": "The largest search sent by POST; of thousands of values about 60 bytes "
    "each.",
    "door.held_bytes_max": "The bodies of all requests that one worker holds together.",
    "door.surplus_bytes_max": "How much of a refused body is read, so that its sender sees it.",
    "door.head_seconds_max": "How long the head of a request, its address and headers, may take to "
    "arrive; beyond: 408.",
    "door.head_bytes_max": "How long it may be; beyond: 431.",
    "door.address_bytes_max": "The longest address of a request.",
    "door.link_bytes_max": "The longest `next` link; a question that does not fit is kept by the "
    "node. Proxies often allow addresses of 8 KiB.",
    "door.questions_max": "How many questions too long for a link are kept for one actor; beyond, "
    "links of the oldest end.",
    "door.running_max": "How many requests one worker answers at once.",
    "door.waiting_max": "How many more may wait; beyond that the answer is 503.",
    "door.waiting_seconds_max": "How long a request may wait for its turn; beyond: 503.",
    "door.client_running_max": "How many requests of one client may run or wait in one worker.",
    "door.client_requests_per_second": "How many requests an actor, an account or an application "
    "may send to the node, counted over all its workers; beyond: 429 with the seconds to wait.",
    "door.client_burst_requests": "How many requests a quiet client may save up.",
    "door.stranger_requests_per_second": "The same for one address (of IPv6: one network) without "
    "a valid token or session, at the door and on pages.",
    "door.stranger_burst_requests": "How many requests such an address may save up.",
    "door.clients_max": "How many clients' quotas the node remembers.",
    "door.request_seconds_max": "How long a request may take before it is given up.",
    "door.bundle_seconds_max": "The same for a transaction or batch.",
    "door.body_seconds_max": "How long a body may take to arrive.",
    "door.actor_seconds_max": "How long a token is believed without asking again. What is revoked, "
    "or of an account that is locked, reset or signed out, stops at once all the same.",
    "door.actors_max": "How many actors one worker remembers.",
    "door.link_seconds_max": "How long a `next` link works.",
    "sign_in.idle_minutes_max": "How long a session may lie idle before it ends.",
    "sign_in.session_hours_max": "How long one stays signed in at most.",
    "sign_in.administrator_idle_minutes_max": "How long a session of a system, security or audit "
    "administrator may lie idle.",
    "sign_in.administrator_session_hours_max": "How long such an administrator stays signed in at "
    "most.",
    "sign_in.stage_minutes_max": "How long one may take between the password and the second "
    "factor, or to add the first one.",
    "sign_in.proof_minutes_max": "How long ago somebody may have proved themselves who changes a "
    "password, a passkey or an authenticator.",
    "sign_in.invitation_hours_max": "How long the code of an invitation works.",
    "sign_in.account_failures_max": "After how many failures an account, or a second factor, has "
    "to wait.",
    "sign_in.address_failures_max": "After how many failures an address has to wait, whatever the "
    "accounts; browsers that an account has signed in to before are not counted.",
    "sign_in.crowd_failures_max": "How many attempts may fail at once on the whole node, of "
    "browsers in which the account has not signed in before; passkeys and other browsers are not "
    "counted. Raise it where many sign in from new browsers at the same hour.",
    "sign_in.crowd_failures_per_minute": "How many of them may fail in a minute after that.",
    "sign_in.delay_seconds": "How long the first wait is; each further failure doubles it.",
    "sign_in.delay_seconds_max": "How long a wait is at most: nobody is shut out for longer by "
    "another's failures.",
    "sign_in.failure_hours_max": "After how long without one failures are forgotten.",
    "sign_in.hashings_max": "How many passwords one worker hashes at once; each takes 64 MiB.",
    "sign_in.address_header": "The header in which a proxy in front writes the client's address, "
    "such as `X-Real-IP`; empty when there is none. Without it everybody behind a proxy is one "
    "address.",
    "sign_in.origin": "Where browsers find the pages, such as `https://health.example.org`; empty: "
    "the origin of `node.base_url`, else `http://localhost` and the port. Passkeys are made for "
    "its host and work nowhere else; `https` also marks cookies for TLS only. The codes on papers "
    "lead there; with neither set, to where whoever prints them has the pages.",
    "door.count_default": "How many hits a page of a search has when `_count` is not given.",
    "door.count_max": "The largest `_count`.",
    "door.meta_rows_max": "How many records `$meta` of a type or of all reads at most.",
    "door.counts_max": "How many codes or months `$counts` counts at most.",
    "door.counts_sample_max": "How many records `$counts` looks at to find codes.",
    "door.latest_rows_max": "How many observations `$lastn` reads at most.",
    "door.polls_per_second": "How often a job may be asked about, counted over all workers; "
    "beyond: 429 with the seconds to wait.",
    "door.polls_burst": "How many such questions may be saved up.",
    "door.jobs_open_max": "How many jobs of one kind a client may have that have not ended.",
    "door.compress_bytes_min": "Answers shorter than this are not compressed.",
    "search.count_max": "The largest `_count`; a larger one is lowered to it.",
    "search.clauses_max": "How many parameters a search may have.",
    "search.values_max": "How many values, joined by commas, a parameter of codes, identifiers, "
    "references or URIs may have.",
    "search.compared_values_max": "How many values a parameter of texts, dates, numbers, "
    "quantities or a composite may have.",
    "search.value_length_max": "How many characters a value may have.",
    "search.includes_max": "How many `_include` and `_revinclude` a search may have.",
    "search.sort_keys_max": "By how many parameters a search may be sorted.",
    "search.filter_tests_max": "How many tests a `_filter` may have.",
    "search.filter_depth_max": "How deep the parentheses of a `_filter` may stand in each other.",
    "search.near_kilometres_default": "How near `near` means when it names no distance.",
    "store.bundle_entries_max": "How many entries a transaction or batch may have.",
    "store.patch_operations_max": "How many operations a patch may have.",
    "store.patched_bytes_max": "How much a patch may put in, move and compare in all.",
    "store.patch_items_max": "How many elements the paths of a FHIRPath Patch may look through.",
    "store.sort_rows_max": "How many hits are sorted at once by parameters that no index orders.",
    "store.count_rows_max": "How far hits are counted exactly.",
    "store.include_rows_max": "How many records `_include` and `_revinclude` add to a page.",
    "store.search_count_default": "How many hits a search has when nobody says how many.",
    "store.search_seconds_max": "How long a search may take before it is given up.",
    "store.estimate_rows_max": "How far hits are counted for an estimate.",
    "store.wordings_max": "How many texts in use `:text`, and addresses `:below`, are asked for by "
    "key; beyond that records are decided as they come.",
    "store.hierarchy_rows_max": "How many records `:above` and `:below` on a reference may mean.",
    "store.hierarchy_depth_max": "How many levels of parts `:above` and `:below` follow.",
    "store.data_key_seconds_max": "How long a process keeps a data key at hand. Erasing a person "
    "and replacing data keys count on no process keeping one for longer: change it while none "
    "runs.",
    "store.write_attempts_max": "How often a write that collided with another is tried.",
}


# Where nothing at all is a limit too: nobody waits, nothing is remembered, everything is packed.
# Any other limit of zero would be a node that does nothing and does not say why.
_MAY_BE_ZERO: Final = frozenset(
    {
        "door.waiting_max",
        "door.surplus_bytes_max",
        "door.actors_max",
        "door.actor_seconds_max",
        "door.compress_bytes_min",
    }
)


class Setting(Struct, frozen=True):
    """One row of the table, as documentation, the environment and messages speak of it.

    `type` is what a value is converted to, its bounds included; `allowed` says the same in words.
    """

    name: str
    type: Any
    kind: str
    allowed: str
    default: str
    unit: str
    sentence: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.replace(".", "_").upper()


def table() -> tuple[Setting, ...]:
    """Every setting, section by section, in the order of the classes above."""
    return tuple(
        _row(section.name, field)
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    )


def _row(section: str, field: msgspec.structs.FieldInfo) -> Setting:
    name = f"{section}.{field.name}"
    meta = next(
        (each for each in getattr(field.type, "__metadata__", ()) if isinstance(each, Meta)), None
    )
    sentence = (meta.description if meta else None) or _SENTENCES.get(name, "")
    declared = field.type
    if declared in {int, float}:  # the bare limits of lower packages
        meta = Meta(ge=0) if name in _MAY_BE_ZERO else Meta(gt=0)
        declared = Annotated[declared, meta]
    kind = _kind(declared)
    allowed = kind + _bounds(meta)
    return Setting(name, declared, kind, allowed, _default(field), _unit(field.name), sentence)


def _bounds(meta: Meta | None) -> str:
    """What a value must hold to beyond its kind, as a sentence goes on."""
    if meta is None:
        return ""
    if meta.pattern is not None:
        return f" of the form {meta.pattern}"
    if meta.max_length is not None:
        return f" of {meta.min_length or 0} to {meta.max_length} characters"
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge} to {meta.le}"
    if meta.ge is not None:
        return f", {meta.ge} or more"
    if meta.gt is not None:
        return f" above {meta.gt}"
    return ""


def _kind(declared: Any) -> str:
    bare = getattr(declared, "__origin__", declared)
    if bare is Literal:
        return " or ".join(f"`{choice}`" for choice in declared.__args__)
    if bare is not declared:
        return _kind(bare)
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "folder",
    }
    return names.get(bare, "folder or nothing")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return ""
    if field.default is None or field.default == "":
        return ""
    return str(field.default)


def _unit(name: str) -> str:
    return next((unit for word, unit in _UNITS if word in name), "")


def pack(settings: Settings) -> bytes:
    """The settings as another process of this node reads them with `unpack`."""
    return msgspec.json.encode(settings, enc_hook=str)


def unpack(packed: bytes) -> Settings:
    """The settings packed by `pack`."""
    return msgspec.json.decode(packed, type=Settings, dec_hook=decode_folder)


def decode_folder(kind: type, value: Any) -> Any:
    """A folder out of its path, which may begin with `~`; ValueError for anything else."""
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("Expected a folder's path")
