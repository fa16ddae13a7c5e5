"""The error tree: an error's class says what to do next.

IntegratorError
├── ConfigError              fix the pipe or the settings; nothing has moved
│   ├── PipeFaultsError      a pipe file has faults, all of them listed
│   ├── UnknownKindError     no scheme, pager or connector of that name
│   ├── FieldsError          values that were given cannot be used, all of them listed
│   ├── OutdatedError        what was to be changed has been changed by somebody else
│   ├── ConflictError        what there is already stands against it
│   ├── NotThereError        what was named is not there
│   └── CredentialMissingError
├── AccessError              refused at a door
│   ├── NotAMemberError      nothing of it may show: for whoever asks it is not there
│   ├── RoleTooLowError      a member whose role is too low
│   ├── NotSignedInError     nobody whom the platform knows
│   ├── ForeignOriginError   a change that another site's page asks for
│   ├── EgressRefusedError   an address that the credential does not allow
│   └── LinkRefusedError     a link that does not hold, or holds no longer
└── RunError
    ├── RecordError          note the ID, go on
    │   ├── MappingError     the record does not fit its mapping
    │   ├── RecordRefusedError
    │   ├── WaitedTooLongError   what it waits for has not come
    │   ├── TooManyDeletesError  more than at_most are to go, so none went
    │   ├── WaitingError     not a failure yet: tried again quietly by each run
    │   └── OutcomeUnknownError  sent, and the answer is lost
    ├── TryAgainError        wait, then the same request
    │   ├── RateLimitedError
    │   ├── UnavailableError
    │   └── LaterError       the wait is too long for a worker: give it back, come again
    └── StopRunError         end the run, keep what is known
        ├── SignInAgainError
        ├── SourceBrokenError
        ├── WindowFullError  more records than the source gives for one question
        ├── TakenOverError
        └── TooManyFailuresError

A message says what happened, to which named thing, and what to do. It never holds a payload, a secret,
or a URL with its query.
"""

from __future__ import annotations


class IntegratorError(Exception):
    """Whatever this product raises on purpose."""


class ConfigError(IntegratorError):
    """Fix the pipe or the settings; nothing has moved."""


class PipeFaultsError(ConfigError):
    """A pipe file has faults; the message lists them all as file:line, YAML path and cure."""


class UnknownKindError(ConfigError):
    """No scheme, pager or connector has that name."""


class FieldsError(ConfigError):
    """Values that were given cannot be used.

    Args:
        faults: field, with dots for what lies within -> what is wrong with its value, and what to give instead.
    """

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in faults.items()))
        self.faults = faults


class OutdatedError(ConfigError):
    """What was to be changed has been changed by somebody else since it was looked at; look again."""


class ConflictError(ConfigError):
    """It was asked for rightly, and what there is already stands against it."""


class NotThereError(ConfigError):
    """What was named is not there."""


class CredentialMissingError(ConfigError):
    """A pipe names a credential that its project does not have."""


class AccessError(IntegratorError):
    """Refused at a door."""


class NotAMemberError(AccessError):
    """Whoever asks has no role in the project: for them it is not there."""


class RoleTooLowError(AccessError):
    """A member's role is too low for what they ask for."""


class NotSignedInError(AccessError):
    """Whoever asks is nobody whom the platform knows."""


class ForeignOriginError(AccessError):
    """A change is asked for by a page of another site, in the name of who looks at it."""


class EgressRefusedError(AccessError):
    """The address is not one that this credential may be sent to."""


class LinkRefusedError(AccessError):
    """A download link does not hold.

    Args:
        over: whether it held once.
    """

    def __init__(self, message: str, *, over: bool = False) -> None:
        super().__init__(message)
        self.over = over


class RunError(IntegratorError):
    """Something went wrong while records moved."""


class RecordError(RunError):
    """Note the record's ID and go on.

    Args:
        message: what happened, without any value of the record.
        stage: fetch, map, look_up, load or then.
        http_status: the other system's status, if it answered.
        code: the other system's own error code, up to 64 word characters, dots and dashes.
        field: path of the member that did not fit, in the mapping's words.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str = "load",
        http_status: int | None = None,
        code: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.http_status = http_status
        self.code = code
        self.field = field
        self.parts: tuple[str, ...] = ()  # keys of the parts that it is about, where the flow splits its records


class MappingError(RecordError):
    """The record does not fit its mapping; `field` says where."""


class RecordRefusedError(RecordError):
    """The other system looked at the record and said no."""

    splittable = False
    """For a whole batch: whether nothing of it was written and a part of it may pass."""


class WaitedTooLongError(RecordError):
    """What the record waits for has not come within wait_at_most."""


class TooManyDeletesError(RecordError):
    """More records are to be deleted than delete.at_most allows, so none of them was."""


class WaitingError(RecordError):
    """What the record needs is not there yet (missing: later); each run tries it again, quietly."""


class OutcomeUnknownError(RecordError):
    """The record was sent and the answer is lost; it must not be sent again blindly."""


class TryAgainError(RunError):
    """Wait, then send the same request again.

    Args:
        message: what is busy.
        after_s: seconds the other system asked us to wait; None when it did not say.
    """

    def __init__(self, message: str, *, after_s: float | None = None, http_status: int | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.http_status = http_status
        self.stage = "load"
        self.away = False  # whether nothing at all came back since this was asked, so that it is not one record's fault
        self.code: str | None = None
        self.field: str | None = None
        self.parts: tuple[str, ...] = ()


class RateLimitedError(TryAgainError):
    """The other system asked for fewer calls."""


class UnavailableError(TryAgainError):
    """The other system cannot be reached, or says that it is not ready."""


class LaterError(TryAgainError):
    """The wait is longer than a worker should sit through: end this try, and take the flow run up again after `after_s`."""

    def __init__(self, message: str, *, after_s: float, http_status: int | None = None) -> None:
        super().__init__(message, after_s=after_s, http_status=http_status)
        self.after_s: float = after_s


class StopRunError(RunError):
    """End the run and keep what is known."""


class SignInAgainError(StopRunError):
    """The credential is refused; a person has to look at it.

    Args:
        message: what was refused, and what to do.
        lasting: whether trying again is of no use, or does harm, before a person has signed in anew.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class SourceBrokenError(StopRunError):
    """The source's answers make no sense, so reading on could lose or repeat records."""

    http_status: int | None = None
    """Of a list that it refuses to give."""


class WindowFullError(StopRunError):
    """The source gives fewer records for one question than there are, so the question must be made smaller."""


class TakenOverError(StopRunError):
    """Another attempt has taken over this flow run; this one must write nothing more."""


class TooManyFailuresError(StopRunError):
    """More records failed than the flow tolerates; their IDs are kept."""
