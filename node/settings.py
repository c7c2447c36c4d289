"""The settings: one frozen tree; ``settings_loading`` reads it once, at start.

``config/node.toml`` shows every setting with its default. What holds between several settings is
checked here, so that no code ever sees a tree that contradicts itself.
"""

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NoReturn, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from node.result_kinds import PROFILES, HeatMapLayout, ResultKind, SRClass


def _split_commas(value: object) -> object:
    """Take ``A,B`` for a list, so that an environment variable can hold one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
AETitle = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$"
    ),
    Field(json_schema_extra={"accepted": "1 to 16 characters of ASCII without a backslash"}),
]
"""PS3.5 6.2: spaces at either end do not count, and spaces alone are no AE title."""
AETitles = Annotated[tuple[AETitle, ...], BeforeValidator(_split_commas)]


def _known_profile(name: str) -> str:
    if name and name not in PROFILES:
        raise PydanticCustomError("profile", "no such profile")
    return name


ProfileName = Annotated[
    str, AfterValidator(_known_profile), Field(json_schema_extra={"enum": ["", *PROFILES]})
]
ResultKinds = Annotated[tuple[ResultKind, ...], BeforeValidator(_split_commas)]
Host = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    Field(json_schema_extra={"accepted": "a host name or an IP address"}),
]


class Section(BaseModel):
    """A table of the settings file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_values_are_no_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``port = true``, which would pass as 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation is not bool:
            raise PydanticCustomError("truth_value", "no truth value is accepted here")
        return value


def _refuse(key: str, *, found: str, accepted: str) -> NoReturn:
    """Refuse what several settings hold together; `key` is relative to the section."""
    context = {"key": key, "found": found, "accepted": accepted}
    raise PydanticCustomError(
        "contradiction", "{key}: found {found}; accepted: {accepted}", context
    )


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _readable_url(url: str) -> str:
    """Refuse here what SQLAlchemy would stumble over later, quoting parts of it."""
    try:
        make_url(url or "sqlite://")
    except (ValueError, ArgumentError):
        raise PydanticCustomError("url", "no URL that can be read") from None
    return url


class DatabaseSettings(Section):
    """Where the study log and the work queue are kept."""

    url: Annotated[
        str,
        StringConstraints(pattern=r"^$|^postgresql\+psycopg://"),
        AfterValidator(_readable_url),
        Field(
            repr=False,
            json_schema_extra={"accepted": "nothing, or postgresql+psycopg://user@host/name"},
        ),
    ] = ""
    """SQLAlchemy URL, as in postgresql+psycopg://user@host/name; empty: SQLite in `data_dir`."""


class ReceiveSettings(Section):
    """The Storage and Verification SCP."""

    ae_title: AETitle = "MAMMONODE"
    """Own AE title; an association that calls another one is rejected."""
    host: Host = "127.0.0.1"
    """Address to listen at; beyond loopback only with `allowed_ae_titles`."""
    port: Port = 11112
    """TCP port; 0 takes a free one."""
    allowed_ae_titles: AETitles = ()
    """Calling AE titles that may associate; empty: any, and then only on loopback."""
    max_associations: Annotated[int, Field(ge=1)] = 100
    """Associations open at the same time; a further one is rejected as transient."""
    max_associations_per_peer: Annotated[int, Field(ge=0)] = 0
    """Of those, for one address; 0: three quarters, so that nobody takes all places."""
    max_object_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
    """Largest data set taken; a larger one aborts its association."""
    max_study_instances: Annotated[int, Field(ge=1)] = 10_000
    """Instances that one study may have; more are refused as out of resources."""
    max_study_bytes: Annotated[int, Field(ge=1)] = 64 * 1024**3
    """What the instances of one study may take together; more are refused as out of resources."""
    acse_timeout_s: Annotated[float, Field(gt=0)] = 30
    """A connection that has not asked for an association after so long is closed."""
    dimse_timeout_s: Annotated[float, Field(gt=0)] = 3600
    """An association whose message is not whole so long after its beginning is aborted."""
    network_timeout_s: Annotated[float, Field(gt=0)] = 60
    """An association that is silent for so long, or within one PDU, is aborted."""
    low_watermark_bytes: Annotated[int, Field(ge=0)] = 2 * 1024**3
    """Free disk space below which nothing more is taken in."""

    @property
    def associations_of_one_peer(self) -> int:
        """Associations that one address may have open at the same time."""
        return self.max_associations_per_peer or max(1, self.max_associations * 3 // 4)

    @model_validator(mode="after")
    def _strangers_come_from_this_machine_only(self) -> Self:
        if not self.allowed_ae_titles and not is_loopback(self.host):
            _refuse(
                "allowed_ae_titles",
                found=f"no AE title while receive.host is {self.host!r}",
                accepted="the calling AE titles that may send, or a receive.host on loopback",
            )
        return self


class PeerSettings(Section):
    """An AE that the node calls: where it is, and how it is spoken to."""

    ae_title: AETitle
    """Its AE title."""
    host: Host
    """Its address."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Its TCP port."""
    tls: bool = False
    """Whether it is spoken to over TLS."""
    tls_ca_file: str = ""
    """PEM file with the certificates that its own must come from; empty: those of the system."""
    tls_certificate_file: str = ""
    """PEM file with the certificate that the node shows; empty: it shows none."""
    tls_key_file: str = ""
    """PEM file with the key of that certificate; empty: the key is in the same file."""

    @model_validator(mode="after")
    def _tls_is_asked_for_where_it_is_described(self) -> Self:
        if not self.tls and (self.tls_ca_file or self.tls_certificate_file or self.tls_key_file):
            _refuse("tls", found="false, with files for TLS", accepted="true, or none of the files")
        if self.tls_key_file and not self.tls_certificate_file:
            _refuse(
                "tls_certificate_file",
                found="nothing, with a tls_key_file",
                accepted="the certificate that the key belongs to",
            )
        return self


class QuerySettings(Section):
    """The Query/Retrieve SCP: what it gives away are patients' data."""

    allowed_ae_titles: AETitles = ()
    """Calling AE titles that may query and retrieve; empty: any on loopback, none beyond it."""
    max_associations: Annotated[int, Field(ge=1)] = 20
    """How many of `receive.max_associations` callers that query or retrieve may take together."""
    max_queries: Annotated[int, Field(ge=1)] = 4
    """Queries answered at the same time; a further one waits for its turn, but not for long."""
    max_retrievals: Annotated[int, Field(ge=1)] = 4
    """Retrievals served at the same time; a further one waits for its turn, but not for long."""
    move_destinations: tuple[PeerSettings, ...] = ()
    """AEs that C-MOVE may send results to, beside those of `destinations`."""


class StudySettings(Section):
    """When a study counts as complete."""

    view_set_quiet_s: Annotated[float, Field(ge=0)] = 5
    """Wait after the last instance once the four standard views are here."""
    quiet_s: Annotated[float, Field(ge=0)] = 60
    """Wait after the last instance otherwise."""
    cap_s: Annotated[float, Field(gt=0)] = 900
    """Longest wait after the first instance."""

    @model_validator(mode="after")
    def _no_wait_is_longer_than_the_longest(self) -> Self:
        for key, wait_s in (("view_set_quiet_s", self.view_set_quiet_s), ("quiet_s", self.quiet_s)):
            if wait_s > self.cap_s:
                _refuse(key, found=f"{wait_s:g}", accepted=f"at most study.cap_s ({self.cap_s:g})")
        return self


class ModelSettings(Section):
    """Which weights, and what the site knows of those it examines."""

    weights: str = ""
    """Folder with weights and their manifest; empty: the shipped ones."""
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Fraction of examined breasts that have cancer; set it, and scores become probabilities."""


class WorkSettings(Section):
    """The durable work."""

    max_attempts: Annotated[int, Field(ge=1)] = 3
    """How often a study's analysis is tried before it is failed."""
    decode_timeout_s: Annotated[float, Field(gt=0)] = 60
    """Time that one image may take to decode."""
    decode_memory_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
    """Memory that decoding one image may take."""


class ResultsSettings(Section):
    """In which form results are written; the same for every destination."""

    sr_class: SRClass = SRClass.COMPREHENSIVE
    """SOP class of `score_report` and `measurement_report`; IHE AI Results asks for the 3D one."""
    heat_map: HeatMapLayout = HeatMapLayout.SOURCE_AND_OVERLAY
    """What a heat map shows: the view beside its overlay, or the overlay alone."""


Attempts = Annotated[int, Field(ge=1)]
Wait = Annotated[float, Field(ge=0)]
TimeLimit = Annotated[float, Field(gt=0)]
Associations = Annotated[int, Field(ge=1, le=32)]


class Confirmation(StrEnum):
    """How a destination is asked whether it keeps what it acknowledged.

    NONE: not at all. COMMITMENT: by Storage Commitment Push Model (PS3.4 Annex J). QUERY: by a
    C-FIND at IMAGE level (PS3.4 Annex C), for archives that offer no storage commitment.
    """

    NONE = "none"
    COMMITMENT = "commitment"
    QUERY = "query"


class DeliverySettings(Section):
    """How results are sent and tried again; a destination may have settings of its own."""

    max_attempts: Attempts = 10
    """How often a delivery is tried before it is failed."""
    first_retry_s: Wait = 30
    """Wait after the first failure; it doubles with each further one, less up to a quarter."""
    longest_retry_s: Wait = 3600
    """Longest wait between two tries."""
    max_associations: Associations = 1
    """Deliveries that go to one destination at the same time, each over its own association."""
    connection_timeout_s: TimeLimit = 10
    """Wait for the TCP connection, and for TLS to be agreed."""
    acse_timeout_s: TimeLimit = 30
    """Wait for the answer to an association request or a release."""
    dimse_timeout_s: TimeLimit = 120
    """Wait for the answer to one request; archives that compress or index may take long."""
    network_timeout_s: TimeLimit = 120
    """Wait for a peer that is silent in the middle of a message."""
    commitment_timeout_s: TimeLimit = 3600
    """Wait for the report on storage commitment before it is asked for again."""

    @model_validator(mode="after")
    def _first_wait_is_not_longer_than_the_longest(self) -> Self:
        if self.first_retry_s > self.longest_retry_s:
            accepted = f"at most delivery.longest_retry_s ({self.longest_retry_s:g})"
            _refuse("first_retry_s", found=f"{self.first_retry_s:g}", accepted=accepted)
        return self


class RetentionSettings(Section):
    """For how long files are kept; the study log keeps its rows for ever."""

    instances_days: Annotated[int, Field(ge=0, le=36500)] = 0
    """Days that received instances are kept once all is delivered; 0: for ever."""
    results_days: Annotated[int, Field(ge=0, le=36500)] = 0
    """Days that result objects are kept once they are delivered; 0: for ever."""


class OutcomeSettings(Section):
    """Which studies a biopsy or a follow-up examination is held to be about."""

    diagnosis_within_days: Annotated[int, Field(ge=0, le=3650)] = 365
    """Histopathology is about a study from its day to so many days after it."""
    negative_after_days: Annotated[int, Field(ge=1, le=3650)] = 330
    """Follow-up without cancer is about a study if it came so many days after it, or later."""


class DestinationSettings(PeerSettings):
    """One AE that results are sent to."""

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$"),
        Field(json_schema_extra={"accepted": "1 to 64 letters, digits, '_', '.' or '-'"}),
    ]
    """How the log and the commands call it."""
    results: ResultKinds = ()
    """Kinds of result object that it gets; or a `profile`."""
    profile: ProfileName = ""
    """A named set of kinds, in place of `results`."""
    confirm: Confirmation = Confirmation.NONE
    """How it is asked, after delivery, whether it keeps the objects."""
    max_attempts: Attempts | None = None
    """In place of `delivery.max_attempts`."""
    first_retry_s: Wait | None = None
    """In place of `delivery.first_retry_s`."""
    longest_retry_s: Wait | None = None
    """In place of `delivery.longest_retry_s`."""
    max_associations: Associations | None = None
    """In place of `delivery.max_associations`."""
    connection_timeout_s: TimeLimit | None = None
    """In place of `delivery.connection_timeout_s`."""
    acse_timeout_s: TimeLimit | None = None
    """In place of `delivery.acse_timeout_s`."""
    dimse_timeout_s: TimeLimit | None = None
    """In place of `delivery.dimse_timeout_s`."""
    network_timeout_s: TimeLimit | None = None
    """In place of `delivery.network_timeout_s`."""
    commitment_timeout_s: TimeLimit | None = None
    """In place of `delivery.commitment_timeout_s`."""

    @property
    def kinds(self) -> tuple[ResultKind, ...]:
        """The kinds of result object that it gets, by `results` or by `profile`."""
        return PROFILES[self.profile] if self.profile else self.results

    @model_validator(mode="after")
    def _kinds_are_said_once(self) -> Self:
        if bool(self.results) == bool(self.profile):
            _refuse(
                "results",
                found="results and profile" if self.results else "neither results nor profile",
                accepted="one of the two",
            )
        return self


class WebSettings(Section):
    """The page; read now, used when it is built."""

    host: Host = "127.0.0.1"
    """Address to listen at."""
    port: Port = 8080
    """TCP port."""


class Settings(Section):
    """Everything that an administrator can set."""

    data_dir: Path = Path("data")
    """Folder for images, results and the SQLite database; made if it is not there."""
    database: DatabaseSettings = DatabaseSettings()
    receive: ReceiveSettings = ReceiveSettings()
    query: QuerySettings = QuerySettings()
    study: StudySettings = StudySettings()
    model: ModelSettings = ModelSettings()
    work: WorkSettings = WorkSettings()
    results: ResultsSettings = ResultsSettings()
    delivery: DeliverySettings = DeliverySettings()
    retention: RetentionSettings = RetentionSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    destinations: tuple[DestinationSettings, ...] = ()
    web: WebSettings = WebSettings()

    @model_validator(mode="after")
    def _destinations_have_names_of_their_own(self) -> Self:
        twice = _first_repeated(destination.name for destination in self.destinations)
        if twice is not None:
            _refuse("destinations", found=f"the name {twice!r} twice", accepted="different names")
        return self

    @model_validator(mode="after")
    def _first_waits_are_not_longer_than_the_longest(self) -> Self:
        for number, destination in enumerate(self.destinations):
            delivery = self.delivery_to(destination)
            if delivery.first_retry_s > delivery.longest_retry_s:
                _refuse(
                    f"destinations[{number}].first_retry_s",
                    found=f"{delivery.first_retry_s:g}",
                    accepted=f"at most its longest_retry_s ({delivery.longest_retry_s:g})",
                )
        return self

    def delivery_to(self, destination: DestinationSettings) -> DeliverySettings:
        """How results go to one destination: its own settings, else those of `delivery`."""
        own = {name: getattr(destination, name) for name in DeliverySettings.model_fields}
        return self.delivery.model_copy(
            update={name: value for name, value in own.items() if value is not None}
        )

    def move_destination(self, ae_title: str) -> tuple[PeerSettings, DeliverySettings] | None:
        """Find the AE that C-MOVE may send to by its AE title, and how; None: there is none."""
        for destination in self.destinations:
            if destination.ae_title == ae_title:
                return destination, self.delivery_to(destination)
        for peer in self.query.move_destinations:
            if peer.ae_title == ae_title:
                return peer, self.delivery
        return None

    @property
    def queriers(self) -> tuple[str, ...] | None:
        """Calling AE titles that may query and retrieve; None: any.

        Who may send may not read for that reason alone: beyond loopback both are named.
        """
        is_open = not self.query.allowed_ae_titles and is_loopback(self.receive.host)
        return None if is_open else self.query.allowed_ae_titles

    @property
    def associations_by_destination(self) -> dict[str, int]:
        """How many deliveries may go to each destination at the same time, by its name."""
        return {
            destination.name: self.delivery_to(destination).max_associations
            for destination in self.destinations
        }


def _first_repeated(names: Iterable[str]) -> str | None:
    """Find the first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
