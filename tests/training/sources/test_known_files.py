"""Readers of the known data sets, on a few lines in each published format."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.types import NO_TIME
from recsvc.events.schema import TYPE_CODES
from tests.training.sources.reading import read, reject_rows, triples
from training.errors import DataInvalid, DataMissing
from training.sources.dataset import Dataset

MOVIES_DAT = "1::Toy Story (1995)::Animation|Comedy\n2::Misérables, Les (1958)::Drama\n3::Unrated (2000)::Drama\n"


def put(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    """Writes the file as its name says: gzipped, zipped or plain."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode(encoding)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(path.stem, content)
    else:
        path.write_bytes(content)


def known(name: str, folder: Path, share: float = 0.0) -> Dataset:
    return read(name, folder, data_dir=folder, share=share)


def seconds(year: int, month: int = 1, day: int = 1) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("name", "file", "page"),
    [
        ("deskdrop", "deskdrop/users_interactions.csv", "kaggle.com/datasets/gspmoreira"),
        ("movielens-100k", "ml-100k/u.data", "grouplens.org/datasets/movielens"),
        ("movielens-1m", "ml-1m/ratings.dat", "grouplens.org/datasets/movielens"),
        ("movielens-1m-ncf", "ml-1m/ncf_train_pairs.csv", "github.com/hexiangnan/neural_collaborative_filtering"),
        ("gowalla", "gowalla/train.txt", "snap.stanford.edu/data/loc-gowalla.html"),
        ("goodbooks", "goodbooks-10k/v1_ratings.csv", "github.com/zygmuntz/goodbooks-10k"),
    ],
)
def test_a_missing_file_says_which_where_and_who_publishes_it(tmp_path: Path, name: str, file: str, page: str) -> None:
    with pytest.raises(DataMissing) as missing:
        known(name, tmp_path)
    for part in (file, page, "RECSVC_DATA_DIR", str(tmp_path)):
        assert part in str(missing.value)


def test_a_known_data_set_takes_no_column_mapping(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="COLUMNS is for files of your own"):
        read("deskdrop", tmp_path, columns={"user_id": "personId"})


def test_deskdrop_types_become_ours(tmp_path: Path) -> None:
    rows = ["VIEW", "LIKE", "COMMENT CREATED", "BOOKMARK", "FOLLOW"]
    lines = [f'146541303{n},{kind},-34{n},-88,12,"Mozilla, 5.0",,' for n, kind in enumerate(rows)]
    header = "timestamp,eventType,contentId,personId,sessionId,userAgent,userRegion,userCountry"
    put(tmp_path, "deskdrop/users_interactions.csv.gz", "\n".join([header, *lines, lines[0].replace("VIEW", "SEEN")]))
    dataset = known("deskdrop", tmp_path, share=0.2)
    expected = ["view", "like", "comment", "save", "follow"]
    assert triples(dataset) == [("-88", f"-34{n}", TYPE_CODES[kind]) for n, kind in enumerate(expected)]
    assert dataset.events.timestamps[0] == 1465413030.0
    assert [row[:2] for row in reject_rows(tmp_path)] == [["7", "type is unknown"]]


def test_deskdrop_articles_are_described_where_they_are_there(tmp_path: Path) -> None:
    put(tmp_path, "deskdrop/users_interactions.csv", "timestamp,eventType,contentId,personId\n1465413032,VIEW,5,-8\n")
    put(
        tmp_path,
        "deskdrop/shared_articles.csv",
        "timestamp,eventType,contentId,authorPersonId,title,text\n"
        '1459192779,CONTENT REMOVED,5,-9,x,y\n1459193988,CONTENT SHARED,5,-9,"Ethereum,\nagain","long\ntext"\n',
    )
    items = known("deskdrop", tmp_path).items
    assert (items.titles, items.creators, items.published_at.tolist()) == (["Ethereum, again"], ["-9"], [1459193988])


def test_movielens_100k_ratings_are_views_with_a_fifth_of_the_stars(tmp_path: Path) -> None:
    put(tmp_path, "ml-100k/u.data", "196\t2\t3\t881250949\n22\t1\t5\t878887116\n")
    flags = "|".join("1" if n in (2, 5) else "0" for n in range(19))
    unknown = "|".join("1" if n == 0 else "0" for n in range(19))
    movies = f"1|Fée (1995)|14-Feb-1995||http://x|{flags}\n2|unknown||||{unknown}\n"
    put(tmp_path, "ml-100k/u.item", movies, "latin-1")
    dataset = known("movielens-100k", tmp_path)
    assert triples(dataset) == [("196", "2", TYPE_CODES["view"]), ("22", "1", TYPE_CODES["view"])]
    assert dataset.events.values.tolist() == [np.float32(0.6), np.float32(1.0)]
    assert dataset.events.timestamps.tolist() == [881250949.0, 878887116.0]
    assert dataset.items.titles == ["Fée (1995)", "unknown"]
    assert dataset.items.categories == [["Adventure", "Comedy"], []]
    assert dataset.items.published_at.tolist() == [seconds(1995, 2, 14), NO_TIME]
    assert dataset.given_test is None


def test_movielens_1m_reads_the_whole_and_says_when_it_has_only_a_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "ml-1m/movies.dat", MOVIES_DAT, "latin-1")
    put(tmp_path, "ml-1m/ratings_users_1-2999.dat.gz", "1::2::4::978300760\n")
    part = known("movielens-1m", tmp_path)
    assert "users 1 to 2999 alone" in caplog.text
    assert part.events.values.tolist() == [np.float32(0.8)]
    assert part.events.item_ids == ["1", "2", "3"]
    assert part.items.titles[1] == "Misérables, Les (1958)"
    assert part.items.published_at[1] == seconds(1958)
    caplog.clear()
    put(tmp_path, "ml-1m/ratings.dat", "1::2::4::978300760\n9::1::5::978300761\n9::1\n")
    whole = known("movielens-1m", tmp_path, share=0.4)
    assert whole.events.user_ids == ["1", "9"]
    assert caplog.text == ""
    assert reject_rows(tmp_path) == [["3", "malformed line: not 4 columns", "9\t1"]]


def ncf_files(folder: Path) -> None:
    put(folder, "ml-1m/ncf_train_pairs.csv.gz", "user,item\n0,0\n0,1\n1,2\n")
    put(folder, "ml-1m/ml-1m.test.rating", "0\t2\t5\t978824351\n1\t0\t3\t978300174\n")
    put(folder, "ml-1m/ml-1m.test.negative.gz", "(0,2)\t1\t2\n(1,0)\t1\t2\n")


def test_ncf_marks_the_held_out_item_and_keeps_a_negative_equal_to_it(tmp_path: Path) -> None:
    ncf_files(tmp_path)
    put(tmp_path, "ml-1m/ncf_item_to_movie_id.csv", "ncf_item,movie_id\n0,2\n1,10\n2,1\n")
    put(tmp_path, "ml-1m/movies.dat", MOVIES_DAT, "latin-1")
    dataset = known("movielens-1m-ncf", tmp_path)
    view = TYPE_CODES["view"]
    assert triples(dataset) == [
        ("0", "2", view),
        ("0", "10", view),
        ("1", "1", view),
        ("0", "1", view),
        ("1", "2", view),
    ]
    assert dataset.given_test is not None
    assert dataset.given_test.tolist() == [False, False, False, True, True]
    assert np.isnan(dataset.events.timestamps).all()
    assert dataset.candidates is not None
    names = dataset.events.item_ids
    assert [[names[item] for item in row] for row in dataset.candidates.items] == [["1", "10", "1"], ["2", "10", "1"]]
    assert dataset.candidates.users.tolist() == [0, 1]
    # Movie 3 is no part of the benchmark, and movie 10 is not in movies.dat.
    assert names == ["1", "10", "2"]
    assert dataset.items.titles == ["Toy Story (1995)", "", "Misérables, Les (1958)"]


def test_ncf_reads_the_training_file_of_its_authors_and_keeps_their_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ncf_files(tmp_path)
    (tmp_path / "ml-1m/ncf_train_pairs.csv.gz").unlink()
    put(tmp_path, "ml-1m/ml-1m.train.rating", "0\t0\t5\t978300760\n0\t1\t3\t978300761\n1\t2\t4\t978300762\n")
    dataset = known("movielens-1m-ncf", tmp_path)
    assert dataset.events.item_ids == ["0", "1", "2"]
    assert len(dataset.events) == 5
    assert not dataset.events.has_time
    assert "ncf_item_to_movie_id.csv is not there" in caplog.text


def test_ncf_refuses_a_negative_that_no_part_has_and_a_broken_line(tmp_path: Path) -> None:
    ncf_files(tmp_path)
    put(tmp_path, "ml-1m/ml-1m.test.negative.gz", "(0,2)\t1\t2\n(1,0)\t1\t7\n")
    with pytest.raises(DataInvalid, match=r"line 2: item 7"):
        known("movielens-1m-ncf", tmp_path)
    put(tmp_path, "ml-1m/ml-1m.test.negative.gz", "(0,2)\t1\t2\n(1,0)\t1\n")
    with pytest.raises(DataInvalid, match=r"ml-1m\.test\.negative\.gz.*as many negatives"):
        known("movielens-1m-ncf", tmp_path)


def test_gowalla_lines_become_pairs_and_the_test_part_is_marked(tmp_path: Path) -> None:
    put(tmp_path, "gowalla/train.txt.gz", "0 5 3\n1 10\n2 \n")
    put(tmp_path, "gowalla/test.txt", "0 10\n1 3 5")
    dataset = known("gowalla", tmp_path)
    assert [pair[:2] for pair in triples(dataset)] == [
        ("0", "5"), ("0", "3"), ("1", "10"), ("0", "10"), ("1", "3"), ("1", "5")
    ]  # fmt: skip
    assert dataset.given_test is not None
    assert dataset.given_test.tolist() == [False] * 3 + [True] * 3
    put(tmp_path, "gowalla/test.txt", "0 10\n1 x\n")
    with pytest.raises(DataInvalid, match=r"test\.txt, line 2: not whole numbers"):
        known("gowalla", tmp_path)


@pytest.mark.parametrize("first_release", [True, False])
def test_goodbooks_books_have_first_author_year_and_genres(tmp_path: Path, first_release: bool) -> None:
    folder = tmp_path / "goodbooks-10k"
    put(
        folder,
        "ratings.csv.zip" if first_release else "v1_ratings.csv.zip",
        "book_id,user_id,rating\n1,314,5\n2,314,4\n",
    )
    ids = "id,book_id" if first_release else "book_id,goodreads_book_id"
    put(
        folder,
        "books.csv.gz",
        f"{ids},authors,original_publication_year,title\n"
        '1,900,"J.K. Rowling, Mary GrandPré",1997.0,"Harry, again"\n2,901,Homer,-720.0,The Odyssey\n',
    )
    put(folder, "tags.csv", "tag_id,tag_name\n1,to-read\n2,fantasy\n3,young-adult\n4,classics\n5,horror\n")
    put(folder, "book_tags.csv.zip", "goodreads_book_id,tag_id,count\n900,1,99\n900,3,5\n900,2,7\n900,5,1\n900,4,3\n")
    dataset = known("goodbooks", tmp_path)
    assert dataset.items.titles == ["Harry, again", "The Odyssey"]
    assert dataset.items.creators == ["J.K. Rowling", "Homer"]
    assert dataset.items.categories == [["fantasy", "young-adult", "classics"], []]
    assert dataset.items.published_at.tolist() == [seconds(1997), NO_TIME]
    assert dataset.events.values.tolist() == [np.float32(1.0), np.float32(0.8)]
    assert not dataset.events.has_time


def test_ones_own_catalogue_stands_in_for_the_published_one(tmp_path: Path) -> None:
    put(tmp_path, "ml-100k/u.data", "196\t2\t3\t881250949\n")
    put(tmp_path, "ml-100k/u.item", "1|A (1995)|||x|" + "|".join("0" * 19) + "\n")
    put(tmp_path, "mine.csv", "item_id,title\n2,Mine\n")
    dataset = read("movielens-100k", tmp_path, data_dir=tmp_path, catalogue=tmp_path / "mine.csv")
    assert (dataset.events.item_ids, dataset.items.titles) == (["2"], ["Mine"])


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    put(tmp_path, "goodbooks-10k/ratings.csv.zip", "book_id,user_id,rating\n" + "1,314,5\n" * 100)
    put(tmp_path, "goodbooks-10k/books.csv", "id\n")
    path = tmp_path / "goodbooks-10k/ratings.csv.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataInvalid, match=r"ratings\.csv\.zip.*truncated or damaged"):
        known("goodbooks", tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("books.csv", "id,book_id,authors,original_publication_year,title\n1,900,A,long ago,T\n"),
        ("tags.csv", "tag,name\n1,fantasy\n"),
        ("book_tags.csv", "goodreads_book_id,tag_id,count\n900,1,many\n"),
    ],
)
def test_a_file_that_is_not_as_published_is_named(tmp_path: Path, file: str, content: str) -> None:
    folder = tmp_path / "goodbooks-10k"
    put(folder, "ratings.csv", "book_id,user_id,rating\n1,314,5\n")
    put(folder, "books.csv", "id,book_id,authors,original_publication_year,title\n1,900,A,1999,T\n")
    put(folder, "tags.csv", "tag_id,tag_name\n1,fantasy\n")
    put(folder, "book_tags.csv", "goodreads_book_id,tag_id,count\n900,1,5\n")
    assert known("goodbooks", tmp_path).items.categories == [["fantasy"]]
    put(folder, file, content)
    with pytest.raises(DataInvalid, match=rf"{file}: not in the format.*fetch it again"):
        known("goodbooks", tmp_path)
