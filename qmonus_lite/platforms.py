"""Platforms that the servers and commands run on."""


def platform_fault(platform: str) -> str | None:
    """Why nothing runs on a platform of this name, as in `sys.platform`; None if it does."""
    if platform == "linux":
        return None
    return (
        f"qmonus-lite runs on Linux only, and this is {platform}; use a virtual machine, a"
        " container or WSL 2"
    )
