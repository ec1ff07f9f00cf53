"""A memory cgroup for one process, in the manner of a container's limit."""

import contextlib
import os
import pathlib

import pytest

ROOT = pathlib.Path("/sys/fs/cgroup")


class MemoryGroup:
    def __init__(self, directory, limit, peak, kills):
        self.directory, self.limit, self.peak_file, self.kills_file = directory, limit, peak, kills

    def enter(self):
        """The calling process is in the group from here on."""
        (self.directory / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self):
        return int((self.directory / self.peak_file).read_text())

    def kills(self):
        """How many processes the kernel has ended for lack of memory."""
        for line in (self.directory / self.kills_file).read_text().splitlines():
            name, _, n = line.partition(" ")
            if name == "oom_kill":
                return int(n)
        return 0


def _own():
    """Where our own group is, in either version; None if there is none to be seen."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found = ROOT / "memory" / path.lstrip("/")
            if found.is_dir():
                return found, ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
        if controllers == "" and (ROOT / "cgroup.controllers").exists():
            return ROOT / path.lstrip("/"), ("memory.max", "memory.peak", "memory.events")
    return None, None


@contextlib.contextmanager
def memory_group(name, limit):
    """A group below ours; the test is skipped where none can be made."""
    own, files = _own()
    if own is None:
        pytest.skip("no memory cgroup to be had")
    group = MemoryGroup(own / name, *files)
    try:
        group.directory.mkdir()
        (group.directory / group.limit).write_text(str(limit))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.directory.rmdir()
        pytest.skip(f"no memory cgroup to be had: {error}")
    try:
        yield group
    finally:
        os.rmdir(group.directory)
