"""Memory limit of a worker process, so that excessive allocation fails only the script."""

import logging
import os
import resource

logger = logging.getLogger(__name__)

#: Minimum bytes of the limit.
MIN_MEMORY_BYTES = 1 << 30


def bound_memory() -> None:
    """Limit this process to half of the machine's memory; an existing lower limit is kept.

    Above it, Python raises MemoryError in the allocating script. RLIMIT_DATA counts private
    writable mappings, not the gigabytes of address space that threads only reserve.
    """
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    wanted = max(MIN_MEMORY_BYTES, half)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    bound = min([wanted, *known])
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    logger.debug("memory bound", extra={"action": "memory_bound", "bytes": bound})
