"""Files that go: by number, by age, and with their job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from penstock.jobs.cleanup import Cleaner, excess, split_pattern
from penstock.jobs.spec import CleanupRule, JobInput, JobOutput, JobSpec
from penstock.storage.disk import DiskFileSystem
from penstock.storage.file_system import FileInfo, FileSystem
from penstock.storage.memory import MemoryFileSystem


def files(*ages: float) -> list[FileInfo]:
    """Return files that are so many seconds old at 1,000."""
    return [
        FileInfo(f"/{number}.ts", 1, 1000 - age, '"x"')
        for number, age in enumerate(ages)
    ]


@pytest.mark.parametrize(
    ("pattern", "name", "glob"),
    [
        ("disk:/a*.ts", "disk", "/a*.ts"),
        ("diskfs:/a", "disk", "/a"),
        ("memfs:fo*ar", "mem", "fo*ar"),
        ("mem:**.ts", "mem", "**.ts"),
        ("aws:/x:y", "aws", "/x:y"),
        ("/a*.ts", "", "/a*.ts"),
        ("", "", ""),
    ],
)
def test_a_pattern_names_a_file_system(pattern: str, name: str, glob: str) -> None:
    assert split_pattern(pattern) == (name, glob)


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (CleanupRule("", max_files=2), ["/2.ts", "/0.ts"]),
        (CleanupRule("", max_files=4), []),
        (CleanupRule("", max_file_age=3), ["/2.ts", "/0.ts"]),
        (CleanupRule("", max_file_age=5), ["/0.ts"]),
        (CleanupRule("", max_files=3, max_file_age=3), ["/0.ts", "/2.ts"]),
        (CleanupRule("", purge_on_delete=True), []),
    ],
)
def test_the_oldest_go_first(rule: CleanupRule, gone: list[str]) -> None:
    assert [file.name for file in excess(rule, files(9, 1, 5, 2), 1000)] == gone


def job(*rules: CleanupRule) -> JobSpec:
    ends = (JobInput("in", "x"),), (JobOutput("out", "-", cleanup=rules),)
    return JobSpec("id", *ends)


async def content(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def names(file_system: FileSystem) -> list[str]:
    return sorted(file.name for file in await file_system.entries())


@attrs.define
class _Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


async def test_rules_work_in_the_file_system_that_they_name(tmp_path: Path) -> None:
    clock = _Clock()
    memory = MemoryFileSystem(clock=clock)
    disk = DiskFileSystem(tmp_path / "disk")
    await disk.start()
    specs = [
        job(
            CleanupRule("memfs:/seg*.ts", max_files=2),
            CleanupRule("[", max_files=1),
            CleanupRule("nowhere:/**", max_files=1),
            CleanupRule("disk:/**.log", max_file_age=60),
        )
    ]
    cleaner = Cleaner({"mem": memory, "disk": disk}, lambda: specs, wall=clock)
    for number in range(4):
        await memory.write(f"/seg{number}.ts", content("x"))
    await memory.write("/other.ts", content("x"))
    await disk.write("/a/old.log", content("x"))
    await disk.write("/seg0.ts", content("x"))
    # By the tests' clock, which has come no further than to the seventies, a file of
    # today is younger than a minute.
    await cleaner.look()
    assert await names(memory) == ["/other.ts", "/seg2.ts", "/seg3.ts"]
    assert await names(disk) == ["/a/old.log", "/seg0.ts"]
    clock.now = 1e11
    await cleaner.look()
    assert await names(disk) == ["/seg0.ts"]


async def test_what_is_to_go_with_the_job_goes_with_it() -> None:
    memory = MemoryFileSystem()
    cleaner = Cleaner({"mem": memory}, list, wall=_Clock())
    for name in ("/a.m3u8", "/a_1.ts", "/b.ts"):
        await memory.write(name, content("x"))
    spec = job(
        CleanupRule("memfs:/a*.(m3u8|ts)", max_files=9, purge_on_delete=True),
        CleanupRule("mem:/b*", max_files=9),
    )
    await cleaner.purge(spec)
    assert await names(memory) == ["/b.ts"]


NAMES = (
    *("/abc_1.ts", "/abc/1.ts", "/abc_data/foobar/42.txt", "/foobar.m3u8"),
    *("/foobar_0.ts", "/foobar_1.ts", "/x/y/z.ts", "/z.ts", "/fooar", "/fooxar"),
    *("/foo/bar", "/q w.ts"),
)
"""What the reference was asked about."""
TS = "/abc_1.ts /foobar_0.ts /foobar_1.ts /z.ts /q+w.ts"
FOOBAR = "/foobar.m3u8 /foobar_0.ts /foobar_1.ts"


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("/*.ts", TS),
        ("/**.ts", f"{TS} /abc/1.ts /x/y/z.ts"),
        ("**.ts", f"{TS} /abc/1.ts /x/y/z.ts"),
        ("/**/*.ts", "/abc/1.ts /x/y/z.ts"),
        ("/abc*", "/abc_1.ts"),
        ("/abc**", "/abc/1.ts /abc_1.ts /abc_data/foobar/42.txt"),
        ("/foobar*.{m3u8,ts}", FOOBAR),
        ("/foobar*.(m3u8|ts)", FOOBAR),
        ("/fo*ar", "/fooar /fooxar"),
        ("/foobar_[0-1].ts", "/foobar_0.ts /foobar_1.ts"),
        ("/foobar_[!1].ts", "/foobar_0.ts"),
        ("/x/**", "/x/y/z.ts"),
        ("/x/*/z.ts", "/x/y/z.ts"),
        ("/{abc,foobar}*", f"/abc_1.ts {FOOBAR}"),
        ("[", ""),
        ("", ""),
        # The slash in front may be missing, also in a part of the glob.
        ("*.ts", TS),
        ("fo*ar", "/fooar /fooxar"),
        ("{/z,abc_1}.ts", "/abc_1.ts /z.ts"),
        ("(/x/y|foo)/*", "/x/y/z.ts /foo/bar"),
        ("[/]z.ts", "/z.ts"),
        ("?z.ts", ""),
        ("\\/z.ts", "/z.ts"),
    ],
)
async def test_globs_mean_what_they_mean_to_the_reference(
    glob: str, expected: str
) -> None:
    memory = MemoryFileSystem()
    for name in NAMES:
        await memory.write(name, content("x"))
    cleaner = Cleaner({"mem": memory}, list, wall=_Clock())
    await cleaner.purge(job(CleanupRule(f"memfs:{glob}", purge_on_delete=True)))
    left = {name.replace("+", " ") for name in expected.split()}
    assert await names(memory) == sorted(set(NAMES) - left)
