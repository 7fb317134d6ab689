"""Sheets on which people sort features."""

import json

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, open_browser, requested_urls

from sklearn_sae_encoding.analysis import compare_raters, make_annotation_sheet, read_annotations, sample_features


@pytest.fixture
def contexts():
    rows = [
        (index, "top", 2.0, f"a </script><b>word{index}</b> & more", [(2, 5, 2.0), (11, 14, 1.0)])
        for index in range(20)
    ]
    table = pd.DataFrame(rows, columns=["index", "kind", "activation", "text", "marks"])
    return table.assign(feature=[f"sae_{i:05}" for i in table["index"]], corpus="toy")


@pytest.fixture
def sheet(contexts, tmp_path):
    return make_annotation_sheet(contexts, tmp_path / "sheet.html", duplicates=0.25, random_state=0)


def filled(sheet, rater, choose, changes=None):
    """A file as the page saves it."""
    table = pd.read_csv(sheet.with_suffix(".csv"), keep_default_na=False)
    answers = [
        {"item": int(i), "category": choose(i), "subcategory": "", "comment": "", "seconds": 2} for i in table["item"]
    ]
    path = sheet.parent / f"{rater}.json"
    path.write_text(
        json.dumps({"sheet": table["sheet"][0], "rater": rater, "answers": answers, **(changes or {})}),
        encoding="utf-8",
    )
    return path


def test_what_raters_saved_is_read_with_the_features_that_they_saw_and_their_second_looks(sheet):
    path = filled(sheet, "ann", lambda item: "lexical")
    table = read_annotations(path, sheet)
    assert len(table) == 25
    assert table["duplicate"].sum() == 5
    once = table[~table["duplicate"]]
    assert sorted(once["index"]) == list(range(20))
    assert once["index"].tolist() != list(range(20))  # in random order
    assert (table["feature"] == [f"sae_{i:05}" for i in table["index"]]).all()


def test_second_looks_come_late_and_not_all_at_the_end(contexts, tmp_path):
    places = []
    for seed in range(10):
        sheet = make_annotation_sheet(contexts, tmp_path / "sheet.html", duplicates=0.25, random_state=seed)
        table = read_annotations(filled(sheet, f"r{seed}", lambda item: "lexical"), sheet)
        first, second = (table[table["duplicate"] == again].set_index("index")["item"] for again in (False, True))
        assert len(second) == 5
        between = (second - first[second.index]).to_numpy() - 1
        assert ((between >= 10) | (second.to_numpy() >= 20)).all()
        places += second.tolist()
    assert min(places) < 18
    assert max(places) == 24


def test_two_raters_files_give_their_agreement(sheet):
    paths = [
        filled(sheet, "ann", lambda i: "lexical" if i % 2 else "other"),
        filled(sheet, "bob", lambda i: "lexical" if i % 2 or i == 0 else "other"),
    ]
    table = read_annotations(paths, sheet)
    wide = table[~table["duplicate"]].pivot(index="index", columns="rater", values="category")
    assert compare_raters(wide["ann"], wide["bob"], n_bootstraps=10).agreement == pytest.approx(0.95)


def test_a_sheet_is_the_same_for_a_seed_and_another_for_another(contexts, tmp_path):
    pages = [
        make_annotation_sheet(contexts, tmp_path / f"{i}.html", random_state=seed).read_text()
        for i, seed in enumerate((0, 0, 1))
    ]
    assert pages[0] == pages[1] != pages[2]


def test_a_filled_spreadsheet_is_read_like_the_page(sheet):
    table = pd.read_csv(sheet.with_suffix(".csv"), keep_default_na=False)
    assert "«" in table["texts"][0]
    table.assign(category="semantic", subcategory="place").to_csv(sheet.parent / "carla.csv", index=False)
    read = read_annotations(sheet.parent / "carla.csv", sheet)
    assert read["rater"].unique().tolist() == ["carla"]
    assert (read["subcategory"] == "place").all()


@pytest.mark.parametrize(
    ("rater", "choose", "changes", "message"),
    [
        ("ann", lambda i: "magic", {}, "item 0: 'magic' '' is none"),
        ("ann", lambda i: "lexical", {"sheet": "other"}, "belongs to the sheet 'other'"),
        (
            "ann",
            lambda i: "lexical",
            {"answers": [{"item": 99, "category": "lexical"}]},
            "item 99 which the sheet does not",
        ),
        ("ann", lambda i: "lexical", {"answers": [{"item": 1, "category": "lexical"}] * 2}, "item 1 twice"),
        ("ann", lambda i: "lexical", {"answers": [{"item": 1, "category": "lexical"}]}, "leaves 24 of 25 items open"),
        ("ann", lambda i: "lexical", {"answers": 3}, "is no file that an annotation sheet saved"),
    ],
)
def test_files_that_do_not_fit_the_sheet_are_refused_by_name(sheet, rater, choose, changes, message):
    with pytest.raises(ValueError, match=f"{rater}.json.*{message}"):
        read_annotations(filled(sheet, rater, choose, changes), sheet)


def test_one_rater_twice_and_pages_that_are_no_sheet_are_refused(sheet, contexts):
    path = filled(sheet, "ann", lambda i: "lexical")
    with pytest.raises(ValueError, match="several files of the rater 'ann'"):
        read_annotations([path, path], sheet)
    (sheet.parent / "page.html").write_text("<html></html>")
    with pytest.raises(ValueError, match="is no sheet of make_annotation_sheet"):
        read_annotations(path, sheet.parent / "page.html")
    with pytest.raises(ValueError, match="no text in which a feature is active"):
        make_annotation_sheet(contexts.assign(activation=0.0), sheet)
    with pytest.raises(ValueError, match="one to nine categories"):
        make_annotation_sheet(contexts, sheet, categories={str(i): "x" for i in range(10)})
    with pytest.raises(ValueError, match="There is no folder"):
        make_annotation_sheet(contexts, sheet.parent / "nowhere" / "sheet.html")


def test_features_are_drawn_within_categories_or_by_their_use():
    features = pd.DataFrame(
        {"index": range(100), "category": ["a"] * 90 + ["b"] * 10, "n_voxels": [0] * 50 + [1] * 40 + [1] * 9 + [1000]}
    )
    drawn = sample_features(features, 12, random_state=0)
    assert drawn["category"].value_counts().to_dict() == {"a": 12, "b": 10}
    assert not drawn["index"].duplicated().any()
    used = [sample_features(features, 1, by="use", random_state=i) for i in range(20)]
    assert all((one["n_voxels"] > 0).all() for one in used)
    assert np.mean([99 in set(one["index"]) for one in used]) > 0.9
    with pytest.raises(ValueError, match="features need"):
        sample_features(features.drop(columns="n_voxels"), 1, by="use")
    with pytest.raises(ValueError, match="No feature of a category is used"):
        sample_features(features.assign(n_voxels=0), 1, by="use")


@needs_browser
def test_a_rater_fills_the_page_in_by_keyboard_and_what_is_saved_is_read_back(sheet, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    saved = tmp_path / "annotations_Ann_Lee.json"
    with open_browser(tmp_path / "profile") as driver:
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
        driver.get(sheet.as_uri())
        assert [mark.text for mark in driver.find_elements("tag name", "mark")] == ["</s", "<b>"]
        assert driver.find_elements("css selector", "#contexts b") == []  # a text is no page
        keys, status = ActionChains(driver), lambda: driver.find_element("id", "status").text
        assert driver.find_element("id", "last").text == "5"
        for item in range(25):
            keys.send_keys("1", "d" if item % 2 else "a", Keys.ARROW_RIGHT)
        keys.perform()
        driver.find_element("id", "comment").send_keys("2 kinds", Keys.ESCAPE)
        ActionChains(driver).send_keys("1", "a").perform()  # and digits choose again
        assert status() == "25 of 25 answered"
        # Answers stay in the browser, which writes them down when it finds the time.
        WebDriverWait(driver, 10).until(lambda _: driver.refresh() or status() == "25 of 25 answered")
        driver.find_element("id", "rater").send_keys("Ann Lee")
        ActionChains(driver).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
        WebDriverWait(driver, 10).until(lambda _: saved.exists())
        assert set(requested_urls(driver)) == {sheet.as_uri()}
    table = read_annotations(saved, sheet)
    assert table["rater"].unique().tolist() == ["Ann Lee"]
    assert (table["category"] == "semantic").all()
    assert table["comment"].tolist() == [*[""] * 24, "2 kinds"]
    assert table["subcategory"].tolist() == ["place" if item % 2 else "emotion" for item in range(25)]
