"""All benchmarks, one script after another, then the page that shows what they found.

    python bench [--quick] [--only small …]

With `--quick` the scripts run beside each other, to prove that they work; their figures mean nothing then,
and no page is written.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from page import PARTS, write_page

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
AT_ONCE = os.cpu_count() or 1
MORE = {"frames": ("--xcom",)}  # beside Airflow's XComObjectStorageBackend, too


def command(name: str, *arguments: str | Path) -> list[str]:
    program = str(HERE / f"{name}.py")
    return [sys.executable, "-W", "ignore", program, *MORE.get(name, ()), *map(str, arguments)]


def run_quick(names: list[str], folder: Path) -> int:
    """Run all of them in little time; return how many failed, whose output is printed."""
    waiting, failed = list(names), 0
    running: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as stack:
        stack.callback(lambda: [process.kill() for process in running.values()])
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                name = waiting.pop(0)
                output = stack.enter_context((folder / f"{name}.txt").open("wb"))
                arguments = command(name, "--quick", "--json", folder / f"{name}.json")
                running[name] = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
            for name, process in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    print(f"{name}: {'works' if process.returncode == 0 else 'FAILED'}", flush=True)
                    if process.returncode:
                        failed += 1
                        print((folder / f"{name}.txt").read_text())
            time.sleep(0.1)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="prove that the scripts work")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some of the scripts")
    parser.add_argument("--page", action="store_true", help="only write the page, of the JSON there is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fileflow-bench-") as name:
        os.environ.setdefault("AIRFLOW_HOME", name)
        if options.quick:
            return run_quick(options.only, Path(name))
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        for script in [] if options.page else options.only:
            print(f"\n== {script}", flush=True)
            subprocess.run(command(script, "--json", DOCS / "benchmarks" / f"{script}.json"), check=True)
    write_page(DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
