"""What a store holds, target by target."""

from fileflow_async.inventory import folders, is_ours, targets
from fileflow_async.store import TargetStore
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import NEW, OLD, plant, put

RUN = "shop/20261120T000000Z"


async def test_every_target_is_named_once_and_in_order(any_store: AnyStore, target: MakeTarget) -> None:
    """Whatever is there of it: a commit, a failure, a folder of files, or a file under way."""
    many = [target(name, task_id=task) for task in ("b", "a") for name in ("x", "x.y", "output")]
    for each in many:
        await put(any_store.store, each, b"1")
        await put(any_store.store, each, b"2")
    async with any_store.store.write_folder(target(task_id="c")) as out, out.create("deep/part") as part:
        await part.write(b"3")
    await any_store.plant(f"{RUN}/d/output/{OLD}", b"half")
    await any_store.plant(f"{RUN}/e/map=3/output/{OLD}.failed", b"{}")
    keys = {each.key for each in many} | {f"{RUN}/{it}/output" for it in ("c", "d", "e/map=3")}
    found = [key async for key in targets(any_store.store)]
    assert found == sorted(keys, key=lambda key: f"{key}/")
    assert [key async for key in targets(any_store.store, f"{RUN}/a/")] == [
        key for key in found if key.startswith(f"{RUN}/a/")
    ]


async def test_what_is_no_target_is_left_out(storage: MemoryStorage, store: TargetStore) -> None:
    """The feed, probes of the doctor, what others put there; names between those of one target, too."""
    await put(store, f"{RUN}/extract/output", b"1")
    for key in (".feed/20261120T1015/x", ".doctor/x", "notes", "shop/notes/x", f"{RUN}/extract/.hidden/x"):
        plant(storage, key)
    plant(storage, f"{RUN}/extract/output/x/mine")  # it comes between the two
    plant(storage, f"{RUN}/extract/output/zzz")
    assert [key async for key in targets(store)] == [f"{RUN}/extract/output"]


async def test_the_keys_of_one_target_come_together(storage: MemoryStorage, store: TargetStore) -> None:
    """Also where they do not fit into one page."""
    for number in range(2500):
        plant(storage, f"{RUN}/a/output/{OLD}/part-{number:04}")
    plant(storage, f"{RUN}/b/output/{NEW}")
    found = [(folder, len(listing.entries)) async for folder, listing in folders(store)]
    assert found == [(f"{RUN}/a/output/", 2500), (f"{RUN}/b/output/", 1)]


def test_an_object_is_ours_by_its_name() -> None:
    """Where a bucket has other things in it."""
    folder = f"{RUN}/extract/output"
    for name in (OLD, f"{OLD}.ok", f"{OLD}.failed", f".{OLD}.part", f"{OLD}/part/deep"):
        assert is_ours(f"{folder}/{name}"), name
    assert is_ours(".feed/20261120T1015/x")
    for key in ("shop/orders/2016-01-01", f"{folder}/notes.txt", f"notes/{OLD}", OLD):
        assert not is_ours(key), key
