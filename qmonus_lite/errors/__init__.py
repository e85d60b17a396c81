"""The exception hierarchy of the package, with the HTTP status of each client error.

    QmonusLiteError
      StartupError               a process or command does not start; exit status 2
        BadSetting               a flag, an environment variable or a key of --config
        BadPlugins               plugin files, with every fault
        BadResource              a directory, file, key or port that cannot be used
      Problem                    a request fails; has an HTTP status and a stable code
        BadRequest 400           InvalidFraming 400, InvalidTarget 400, InvalidPath 400,
                                 InvalidQuery 400, CredentialInQuery 400,
                                 AmbiguousCredentials 400, InvalidDigest 400,
                                 PartialUpload 400, SchemaMismatch 400
        Unauthorized 401
        Forbidden 403            ForbiddenPath 403
        NotFound 404, MethodNotAllowed 405, RequestTimeout 408, Conflict 409,
        LengthRequired 411, PreconditionFailed 412, TooLarge 413, TargetTooLong 414,
        UnsupportedMedia 415, ExpectationFailed 417, Unprocessable 422,
        TooManyRequests 429, HeadTooLarge 431, NotImplementedHere 501,
        InternalFault 500        ScriptFailed 500
        BadGateway 502
        Unavailable 503          Stopping 503, ConnectionLimitReached 503,
                                 UploadLimitReached 503, MemoryLimitReached 503,
                                 NotReady 503, NoWorker 503, EventLogUnavailable 503,
                                 PublicationInDoubt 503, RecordsUnavailable 503,
                                 ScriptNotStarted 503
        GatewayTimeout 504       ScriptTimedOut 504
        VersionUnknown 505, InsufficientStorage 507, LoopDetected 508
        RefusedByScript 500      a script of a route refused; it chooses the status
      Terminated                 a plugin ended the request with its own response

A `Rule` with its `Stage` is a check whose failure is one of these problems; a `RuleDescription`
describes what only shows in an operation. `Refusal` and `DiskError` hold further details of a
failed request, for the log only.
`Problem.detail` is sent to the client: it never contains a secret or the text of an unexpected
exception.
"""

from qmonus_lite.errors.by_status import PROBLEMS, problem_by_status
from qmonus_lite.errors.causes import (
    AmbiguousCredentials,
    ConnectionLimitReached,
    CredentialInQuery,
    EventLogUnavailable,
    ForbiddenPath,
    InvalidDigest,
    InvalidFraming,
    InvalidPath,
    InvalidQuery,
    InvalidTarget,
    MemoryLimitReached,
    NotReady,
    NoWorker,
    PartialUpload,
    PublicationInDoubt,
    RecordsUnavailable,
    RefusedByScript,
    SchemaMismatch,
    ScriptFailed,
    ScriptNotStarted,
    ScriptTimedOut,
    Stopping,
    UploadLimitReached,
    script_problem,
)
from qmonus_lite.errors.problem import (
    PROBLEMS_PAGE,
    DiskError,
    Problem,
    Refusal,
    Terminated,
    refusal_of,
)
from qmonus_lite.errors.rule import Rule, RuleDescription, Stage
from qmonus_lite.errors.startup import (
    BadPlugins,
    BadResource,
    BadSetting,
    Fault,
    QmonusLiteError,
    StartupError,
)
from qmonus_lite.errors.statuses import (
    BadGateway,
    BadRequest,
    Conflict,
    ExpectationFailed,
    Forbidden,
    GatewayTimeout,
    HeadTooLarge,
    InsufficientStorage,
    InternalFault,
    LengthRequired,
    LoopDetected,
    MethodNotAllowed,
    NotFound,
    NotImplementedHere,
    PreconditionFailed,
    RequestTimeout,
    TargetTooLong,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UnsupportedMedia,
    VersionUnknown,
)

__all__ = [
    "PROBLEMS",
    "PROBLEMS_PAGE",
    "AmbiguousCredentials",
    "BadGateway",
    "BadResource",
    "BadPlugins",
    "BadRequest",
    "BadSetting",
    "Conflict",
    "ConnectionLimitReached",
    "CredentialInQuery",
    "DiskError",
    "EventLogUnavailable",
    "ExpectationFailed",
    "Fault",
    "Forbidden",
    "ForbiddenPath",
    "GatewayTimeout",
    "HeadTooLarge",
    "InsufficientStorage",
    "InternalFault",
    "InvalidDigest",
    "InvalidFraming",
    "InvalidPath",
    "InvalidQuery",
    "InvalidTarget",
    "LengthRequired",
    "LoopDetected",
    "MemoryLimitReached",
    "MethodNotAllowed",
    "NoWorker",
    "NotFound",
    "NotImplementedHere",
    "NotReady",
    "PartialUpload",
    "PreconditionFailed",
    "Problem",
    "PublicationInDoubt",
    "QmonusLiteError",
    "RecordsUnavailable",
    "Refusal",
    "StartupError",
    "RefusedByScript",
    "RequestTimeout",
    "Rule",
    "RuleDescription",
    "SchemaMismatch",
    "ScriptFailed",
    "ScriptNotStarted",
    "ScriptTimedOut",
    "Stage",
    "Stopping",
    "TargetTooLong",
    "Terminated",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unprocessable",
    "UnsupportedMedia",
    "UploadLimitReached",
    "VersionUnknown",
    "problem_by_status",
    "refusal_of",
    "script_problem",
]
