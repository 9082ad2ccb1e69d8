"""Changing trees is changing a dict of paths; walking them in pages is walking them at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.gitobj import EMPTY_TREE, FILE_MODE, TreeItem, parse_tree
from tenuto.server.git.trees import TreeEditor, Walk

PATHS = st.lists(st.sampled_from(["a", "b", "a.b", "a-", "a0", "é"]), min_size=1, max_size=4).map("/".join)
OIDS = st.sampled_from(["1" * 40, "2" * 40, "3" * 40])


class Shelf:
    """Trees in memory."""

    def __init__(self) -> None:
        self.trees: dict[str, dict[str, TreeItem]] = {EMPTY_TREE: {}}
        self.loads = 0

    def load(self, oids):
        self.loads += 1
        return {oid: self.trees[oid] for oid in oids}

    def edit(self, root: str, apply) -> str:
        editor = TreeEditor(root, self.load)
        apply(editor)
        oid, made = editor.write()
        for one in made:
            self.trees[one.oid] = {item.name: item for item in parse_tree(one.body)}
        return oid

    def files(self, root: str) -> dict[str, str]:
        return {path: item.oid for path, item in Walk(self.load, recursive=True).entries(root) if not item.is_tree}


def put_in_model(files: dict[str, str], path: str, oid: str) -> bool:
    parents = {path[:index] for index, character in enumerate(path) if character == "/"}
    if parents & files.keys() or any(other.startswith(path + "/") for other in files):
        return False
    files[path] = oid
    return True


CHANGES = st.lists(st.tuples(st.sampled_from(["put", "put", "file", "folder"]), PATHS, OIDS), max_size=25)


def change_both(editor: TreeEditor, files: dict[str, str], kind: str, path: str, oid: str) -> None:
    if kind == "put":
        if put_in_model(files, path, oid):
            editor.put(path, FILE_MODE, oid)
        else:
            with pytest.raises(UsageError):
                editor.put(path, FILE_MODE, oid)
        return
    below = [other for other in files if other.startswith(path + "/")] if kind == "folder" else [path] * (path in files)
    remove = editor.delete_folder if kind == "folder" else editor.delete_file
    if not below:
        with pytest.raises(NotFoundError):
            remove(path)
        return
    remove(path)
    for other in below:
        del files[other]


@given(st.lists(CHANGES, max_size=4))
def test_edits_are_those_of_a_dict(rounds) -> None:
    shelf, files, root = Shelf(), {}, EMPTY_TREE
    for changes in rounds:

        def apply(editor: TreeEditor, changes=changes) -> None:
            editor.prefetch([path for _, path, _ in changes])
            for kind, path, oid in changes:
                change_both(editor, files, kind, path, oid)

        root = shelf.edit(root, apply)
        assert shelf.files(root) == files
    rebuilt = shelf.edit(EMPTY_TREE, lambda editor: [editor.put(path, FILE_MODE, oid) for path, oid in files.items()])
    assert rebuilt == root, "the same files are the same tree, whatever the way to them"


@given(st.dictionaries(PATHS, OIDS, max_size=20), st.integers(1, 4), st.booleans())
def test_pages_are_pieces_of_the_whole(wanted: dict[str, str], page: int, recursive: bool) -> None:
    shelf, files = Shelf(), {}
    wanted = {path: oid for path, oid in wanted.items() if put_in_model(files, path, oid)}
    root = shelf.edit(EMPTY_TREE, lambda editor: [editor.put(path, FILE_MODE, oid) for path, oid in wanted.items()])
    walk = Walk(shelf.load, recursive=recursive)
    whole = list(walk.entries(root))
    found, after = [], ""
    while True:
        some = [entry for entry, _ in zip(walk.entries(root, "", after), range(page), strict=False)]
        found += some
        if len(some) < page:
            break
        after = some[-1][0]
    assert found == whole


def test_a_walk_below_a_folder_continues_where_it_stopped() -> None:
    shelf = Shelf()
    names = ["d/a/1", "d/a/2", "d/b", "d/c/3", "z"]
    root = shelf.edit(EMPTY_TREE, lambda editor: [editor.put(name, FILE_MODE, "1" * 40) for name in names])
    below = shelf.trees[root]["d"].oid
    walk = Walk(shelf.load, recursive=True)
    whole = [path for path, _ in walk.entries(below, "d")]
    assert whole == ["d/a", "d/a/1", "d/a/2", "d/b", "d/c", "d/c/3"]
    for index, path in enumerate(whole):
        assert [one for one, _ in walk.entries(below, "d", path)] == whole[index + 1 :]


def test_folders_are_read_level_by_level_not_one_by_one() -> None:
    shelf = Shelf()
    names = [f"f{index}/g/file" for index in range(200)]
    root = shelf.edit(EMPTY_TREE, lambda editor: [editor.put(name, FILE_MODE, "1" * 40) for name in names])
    shelf.loads = 0
    shelf.edit(
        root, lambda editor: [editor.prefetch(names), *(editor.put(name, FILE_MODE, "2" * 40) for name in names)]
    )
    assert shelf.loads <= 4


def test_an_untouched_tree_makes_no_objects() -> None:
    shelf = Shelf()
    root = shelf.edit(EMPTY_TREE, lambda editor: editor.put("a/b", FILE_MODE, "1" * 40))
    editor = TreeEditor(root, shelf.load)
    editor.put("a/b", FILE_MODE, "1" * 40)
    assert editor.write()[0] == root
