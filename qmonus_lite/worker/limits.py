"""What a worker may take of the machine, so that a script that wants all of it fails alone."""

import logging
import os
import resource

logger = logging.getLogger(__name__)

#: Bytes that a worker may always have.
MIN_MEMORY_BYTES = 1 << 30


def bound_memory() -> None:
    """Let this process have half of the machine's memory; a lower bound that it has stays.

    Above, Python raises MemoryError in the script that asks. Counted is what is written to
    (RLIMIT_DATA): threads reserve addresses by the gigabyte that they never touch.
    """
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    wanted = max(MIN_MEMORY_BYTES, half)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    bound = min([wanted, *known])
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    logger.debug("memory bound", extra={"action": "memory_bound", "bytes": bound})
