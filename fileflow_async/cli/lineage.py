"""Show what a target was made from."""

import argparse
from typing import TYPE_CHECKING

from fileflow_async.ancestry import Ancestor, Fate, ancestry
from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output, printable
from fileflow_async.cli.place import opened, place_of
from fileflow_async.cli.versions import version_of

if TYPE_CHECKING:
    from rich.tree import Tree

_SAID = {
    Fate.CURRENT: "",
    Fate.REMADE: "made anew since, with the same content",
    Fate.CHANGED: "changed since",
    Fate.GONE: "gone, or in another store",
    Fate.UNKNOWN: "cannot be looked at",
}


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("key", metavar="KEY", help="<dag>/<slot>/<task>[/map=<i>]/<name>, or a whole URI")
    parser.add_argument("--version", metavar="DATA", help="an older version, by the name that `show` gives")
    parser.add_argument("--depth", type=int, default=10, help="generations; by default 10")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print the tree."""
    root, key = await place_of(options, options.key)
    async with opened(options, root) as store:
        version = await version_of(store, key, options.version)
        found = await ancestry(store, version, depth=options.depth)
    if output.as_json:
        output.document(found.to_payload())
    else:
        output.tree(_tree(found))
    return Exit.OK


def _tree(ancestor: Ancestor) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    said = [_SAID[ancestor.fate]]
    if not ancestor.is_kept and ancestor.fate in (Fate.CHANGED, Fate.REMADE):
        said.append("no longer kept")
    if ancestor.is_repeated:
        said.append("see above")
    marks = ", ".join(filter(None, said))
    text = f"{ancestor.target}  {ancestor.data}  {ancestor.sha256[:12]}{f'  ({marks})' if marks else ''}"
    tree = Tree(Text(printable(text), style="" if ancestor.fate is Fate.CURRENT else "yellow"))
    tree.children.extend(_tree(each) for each in ancestor.inputs)
    return tree
