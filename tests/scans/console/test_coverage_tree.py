from __future__ import annotations

from scans.console.coverage_tree import SHOWN, grown


def test_what_nobody_looked_at_comes_first_and_is_counted_upwards():
    root = grown(["m/a.bin", "m/z/b.bin", "r.txt"], {"m/z/b.bin": "no scanner"})
    assert (root.count, root.gaps) == (3, 1)
    (folder, leaf) = root.shown
    assert (folder.name, folder.count, folder.gaps) == ("m", 2, 1)
    assert leaf.name == "r.txt"
    assert [each.name for each in folder.shown] == ["z", "a.bin"]
    assert folder.shown[0].shown[0].reason == "no scanner"


def test_a_gap_that_no_element_names_is_there_too():
    assert grown([], {"servers/db": "not started"}).gaps == 1


def test_a_huge_folder_says_how_many_are_left_out():
    root = grown([f"{number}.bin" for number in range(SHOWN + 7)], {})
    assert (len(root.shown), root.hidden) == (SHOWN, 7)


def test_any_depth_is_counted():
    assert grown(["a/" * 5_000 + "b"], {}).count == 1
