"""Makes the C library keep the memory of large tensors. Layer: public, below all else."""

import ctypes

# The parameters of mallopt in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_SETTINGS = (
    (_MMAP_THRESHOLD, 2**30),  # below 1 GiB: from the heap, which keeps what is freed
    (_TRIM_THRESHOLD, 2**31 - 1),  # an int; up to 2 GiB at the end of the heap stay
    (_TOP_PAD, 2**26),  # the heap grows by 64 MiB
)


def keep_memory() -> bool:
    """Lets glibc keep the memory of freed tensors for the next ones, in this process, from now on.

    By default glibc takes tensors of more than some 30 MB from the system on every call, and gives
    them back when they are freed. Each new page of 4 KiB then costs 0.5 to 2 microseconds: up to
    half of the time of a layer with a large output, with torch.nn and with fastconv. The process
    keeps its largest use of memory instead, up to 2 GiB more than it needs. The `fastconv` command
    calls this function; a library should leave the choice to the program.

    Returns True if the C library took the settings, False where it has no `mallopt` or refused
    them (musl, macOS, Windows, another allocator). There is no way back but a new process. The
    environment variables MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ do the
    same from outside.

    Examples:
        >>> fastconv.keep_memory() in (True, False)
        True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows wants a name
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return all([mallopt(parameter, value) == 1 for parameter, value in _SETTINGS])
