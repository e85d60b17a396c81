"""What a store refuses, described: only its own operations can find it out.

A precondition holds or fails in the moment of link(2), and a full disk shows in write(2); a check
beforehand would be a race. So stores raise these problems themselves, and a store that refuses for
another reason gets a line here.
"""

from qmonus_lite.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    ForbiddenPath,
    InsufficientStorage,
    InternalFault,
    PreconditionFailed,
    PublicationInDoubt,
    RuleDescription,
    Stage,
    TooLarge,
    Unavailable,
    Unprocessable,
)

#: Raised by `UploadStore.create`, in this order.
CREATE_RULES = (
    RuleDescription(
        name="forbidden-path",
        stage=Stage.AFTER_VERDICT,
        problems=(ForbiddenPath, Forbidden),
        refuses="a path into the data directory or a plugin folder, or over a symbolic link",
    ),
    RuleDescription(
        name="occupied-path",
        stage=Stage.AFTER_VERDICT,
        problems=(Conflict,),
        refuses="a path with a directory in the file's place, or a file in a directory's",
    ),
    RuleDescription(
        name="precondition",
        stage=Stage.AFTER_VERDICT,
        problems=(PreconditionFailed,),
        refuses="`If-None-Match: *`, or `if_exists` of a handler being `fail`, where a file is;"
        " `If-Match` where none is",
    ),
    RuleDescription(
        name="free-space",
        stage=Stage.AFTER_VERDICT,
        problems=(InsufficientStorage,),
        refuses="an upload that would leave less than `--min_free_bytes`; what is reserved"
        " for running uploads counts",
    ),
)
#: Raised by `PendingUpload.append`, and by all other operations of a store.
APPEND_RULES = (
    RuleDescription(
        name="file-system",
        stage=Stage.BODY,
        problems=(
            BadRequest,
            Forbidden,
            Conflict,
            TooLarge,
            InternalFault,
            Unavailable,
            InsufficientStorage,
        ),
        refuses="what the file system refuses, here, before and at seal:"
        " [the table of errors](#errors-of-the-disk)",
    ),
)
#: Raised by `UploadStore.seal`, before anything of an upload is recorded.
CONTENT_RULES = (
    RuleDescription(
        name="digest",
        stage=Stage.SEAL,
        problems=(Unprocessable,),
        refuses="a body that does not have the digest that the client gave",
    ),
)
#: Raised by `UploadStore.publish`.
PUBLISH_RULES = (
    RuleDescription(
        name="precondition-at-publish",
        stage=Stage.SEAL,
        problems=(PreconditionFailed,),
        refuses="`If-None-Match: *`, or `fail` of a handler, where a file was stored during the"
        " upload",
    ),
    RuleDescription(
        name="in-doubt",
        stage=Stage.SEAL,
        problems=(PublicationInDoubt,),
        refuses="nothing: whether the file was stored is not known, and decided later",
    ),
)
