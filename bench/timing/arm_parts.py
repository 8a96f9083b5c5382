"""Names of Arm's own cores, which Linux tells by number only."""

from __future__ import annotations

ARM = "0x41"
# Source: the main ID register in Arm's technical reference manual of each core.
PARTS = {
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}


def arm_name(implementer: str | None, part: str | None) -> str | None:
    """Of the two numbers in /proc/cpuinfo; a core that is not known here keeps its numbers."""
    if implementer is None or part is None:
        return None
    if implementer == ARM and part in PARTS:
        return PARTS[part]
    return f"implementer {implementer}, part {part}"
