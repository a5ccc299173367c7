"""What a page of measurements must say of the machine they were taken on."""

import os
import pathlib
import platform
import subprocess


def read(path, default=""):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return default


def field(text, name, separator):
    """The value of the first line `name separator value`, or ""."""
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip().strip('"')
    return ""


def readable(size):
    """'1024K' -> '1 MiB', as the kernel writes sizes of caches."""
    kib = int(size.removesuffix("K"))
    return f"{kib // 1024} MiB" if kib % 1024 == 0 else f"{kib} KiB"


def caches(core, root="/sys/devices/system/cpu"):
    """'L1d 32 KiB, L2 1 MiB': the caches that a core sees."""
    short = {"Data": "d", "Instruction": "i"}
    found = []
    for index in sorted(pathlib.Path(root, f"cpu{core}", "cache").glob("index*")):
        size, kind = read(index / "size"), short.get(read(index / "type"), "")
        if size:
            found.append(f"L{read(index / 'level')}{kind} {readable(size)}")
    return ", ".join(found)


def commit(source):
    """The commit that stands in the folder `source`, or "" where git does not know one."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(source), *arguments], capture_output=True, text=True, check=True
        ).stdout

    try:
        changed = (
            " with changes" if git("status", "--porcelain", "--untracked-files=no").strip() else ""
        )
        return git("rev-parse", "--short", "HEAD").strip() + changed
    except (OSError, subprocess.CalledProcessError):
        return ""


def system():
    """'Debian GNU/Linux 12 (bookworm), Linux 6.1.0'."""
    distribution = field(read("/etc/os-release"), "PRETTY_NAME", "=")
    return ", ".join(part for part in (distribution, f"Linux {platform.release()}") if part)


def describe(core):
    """Names and values, the unknown ones left out."""
    facts = {
        "processor": field(read("/proc/cpuinfo"), "model name", ":") or platform.processor(),
        "cores": str(os.cpu_count()),
        "caches": caches(core),
        "system": system(),
    }
    return {name: value for name, value in facts.items() if value}
