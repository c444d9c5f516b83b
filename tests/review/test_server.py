"""The page over HTTP: who may use it, what it answers to nonsense, and how a session begins and ends."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.review.conftest import COMMAND, Opened, Session, build_run, kept_rows, rejected_rows, session
from tests.review.test_figures import places
from tunewell.errors import MachineError
from tunewell.review import review
from tunewell.store import DecisionLog, read_decisions

pytestmark = pytest.mark.enable_socket


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str


class Client:
    """Sends requests with any header, as an attacker could."""

    def __init__(self, session: Session) -> None:
        parts = urlsplit(session.address)
        self.host, self.path = parts.netloc, parts.path.removesuffix("/")
        self.token = parse_qs(parts.query)["token"][0]
        self.cookie = f"tunewell-review={self.token}"

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request for a path below that of the session."""
        return self.send_to(method, self.path + path, body, **headers)

    def send_to(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given = {"Host": self.host, "Cookie": self.cookie, "Origin": f"http://{self.host}"} | headers
        connection = http.client.HTTPConnection(self.host, timeout=10)
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.putrequest(method, path, skip_host=True)
        for name, value in given.items():
            if value:
                connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read().decode())
        connection.close()
        return answer


class Shared(NamedTuple):
    """A session for tests that leave no trace in it."""

    client: Client
    run: Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    run = build_run(tmp_path_factory.mktemp("shared"))
    with session(run) as running:
        yield Shared(Client(running), run)


@pytest.fixture
def client(run_folder: Path, opened: Opened) -> Client:
    return Client(opened(run_folder))


ROWS = [row.id for row in kept_rows()]
ACCEPT = {"place": 0, "id": ROWS[0], "verdict": "accept"}


def test_who_may_use_the_page(client: Client, run_folder: Path) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "0.0.0.0", "[", ""):
        assert client.send("GET", "/setting", Host=host).status in {400, 403}, host
    for host in ("localhost", f"localhost:{client.host.partition(':')[2]}", "[::1]:9000"):
        assert client.send("GET", "/setting", Host=host).status == 200, host
    stranger = client.send("GET", "/setting", Cookie="")
    assert (stranger.status, stranger.body) == (403, "open the address that `tunewell review` printed")
    for path in ("/", "/row", "/page.js", "/?token=guess", "/nothing"):
        assert client.send("GET", path, Cookie="").status == 403, path
    assert client.send("POST", "/judge", ACCEPT, Cookie="").status == 403
    for origin in (
        "http://evil.example",
        "null",
        "",
        f"https://{client.host}",
        f"http://localhost:{client.host.partition(':')[2]}",
    ):
        refused = client.send("POST", "/judge", ACCEPT, Origin=origin)
        assert (refused.status, refused.body) == (403, "only the page itself may change something"), origin
    assert read_decisions(run_folder / "review") == {}
    assert client.send("POST", "/judge", ACCEPT).status == 200
    assert len(read_decisions(run_folder / "review")) == 1


def test_the_token_opens_the_page_and_stays_in_a_strict_cookie(shared: Shared) -> None:
    client = shared.client
    page = client.send("GET", f"/?token={client.token}", Cookie="")
    assert page.status == 200
    assert page.headers["set-cookie"] == f"{client.cookie}; HttpOnly; SameSite=Strict; Path={client.path}/"
    assert "set-cookie" not in client.send("GET", "/?token=guess", Cookie="").headers


def test_a_session_has_a_path_of_its_own_so_that_other_ports_do_not_get_its_cookie(shared: Shared) -> None:
    assert len(shared.client.path) > 8
    assert shared.client.send_to("GET", "/").status == 404
    assert shared.client.send_to("GET", "/", Cookie="").status == 403


def test_every_answer_is_fenced_in_and_no_script_stands_in_the_page(shared: Shared) -> None:
    client = shared.client
    answers = [client.send("GET", path) for path in ("/", "/row", "/page.js", "/nothing", "/icon.svg")]
    answers += [client.send("GET", "/", Cookie=""), client.send("POST", "/judge", b"{")]
    for answer in answers:
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    page = answers[0].body
    assert page.count("<script") == 1
    assert '<script type="module" src="page.js"></script>' in page
    assert "style=" not in page
    assert "http" not in page.replace("http-equiv", ""), "nothing comes from elsewhere"


@pytest.mark.parametrize(
    ("path", "body", "what"),
    [
        ("/judge", b"{", "the body is no JSON object"),
        ("/judge", [1], "the body is no JSON object"),
        ("/judge", {"place": 0}, "None is none of accept, mend, reject, undo"),
        ("/judge", b"[" * 100_000, "the body is no JSON object"),
        ("/judge", {"place": "0", "verdict": "accept"}, "'0' is no place"),
        ("/judge", {"place": True, "id": ROWS[1], "verdict": "accept"}, "True is no place"),
        ("/judge", {"place": 0, "verdict": "accept"}, "id and judged are strings"),
        ("/judge", {"place": 0, "id": ROWS[0], "judged": 3, "verdict": "accept"}, "id and judged are strings"),
        ("/judge", {"place": 26, "id": rejected_rows()[2].example.id, "verdict": "accept"}, "row 26: this row cannot be judged"),
        ("/judge", {"place": 0, "verdict": "mend", "texts": [1, 2]}, "texts and note are strings"),
        ("/judge", {"place": 0, "verdict": "mend", "texts": "ab"}, "texts and note are strings"),
        ("/judge", {"place": 0, "verdict": "reject", "note": "\ud800"}, "half a character cannot be kept"),
        ("/judge", b" " * (4 << 20) + b"{}", "this is more than a row can hold"),
    ],
)
def test_nonsense_is_refused_in_words_and_leaves_no_trace(shared: Shared, path: str, body: Any, what: str) -> None:
    answer = shared.client.send("POST", path, body)
    assert (answer.status, json.loads(answer.body)["error"].partition("\n")[0]) == (400, what)
    assert read_decisions(shared.run / "review") == {}


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("move=up", "'up' is none of first, next, previous, open, here"),
        ("place=x", "'x' is no place"),
        ("place=٣", "'٣' is no place"),
        (f"place={'9' * 5000}", f"'{'9' * 5000}' is no place"),
    ],
)
def test_a_wrong_query_is_refused(shared: Shared, query: str, what: str) -> None:
    answer = shared.client.send("GET", f"/row?{quote(query, safe='=')}")
    assert (answer.status, json.loads(answer.body)["error"]) == (400, what)


def test_one_row_is_sent_at_a_time(shared: Shared) -> None:
    found = json.loads(shared.client.send("GET", "/row?move=next&place=3&language=en&outcome=kept").body)
    assert (found["row"]["place"], found["number"], found["rows"], found["of"]) == (4, 5, 15, 15)
    assert len(json.dumps(found)) < 4000


@pytest.mark.parametrize("move", ["first", "next", "previous", "open", "here"])
@pytest.mark.parametrize("place", [10**17, -(10**17), -1])
def test_a_place_beyond_all_rows_is_no_failure(shared: Shared, move: str, place: int) -> None:
    assert shared.client.send("GET", f"/row?move={move}&place={place}").status == 200


def test_a_row_that_stands_otherwise_is_refused_and_how_it_stands_is_told(client: Client, run_folder: Path) -> None:
    for stale in (ACCEPT | {"id": ROWS[1]}, ACCEPT | {"place": 1 << 70}, ACCEPT | {"judged": "2026"}, ACCEPT | {"place": -1}):
        answer = client.send("POST", "/judge", stale)
        assert (answer.status, json.loads(answer.body)["error"]) == (409, "this row stands otherwise by now")
    said = json.loads(client.send("POST", "/judge", ACCEPT).body)
    late = client.send("POST", "/judge", ACCEPT | {"verdict": "reject"})
    assert late.status == 409
    assert json.loads(late.body)["latest"] == {"place": 0, "id": ROWS[0], "judged": said["row"]["judgement"]["time"]}
    assert [one.verdict for one in read_decisions(run_folder / "review").values()] == ["accept"]


def test_the_last_judgement_is_named_so_that_it_can_be_taken_back(client: Client, run_folder: Path) -> None:
    assert json.loads(client.send("GET", "/setting").body)["latest"] is None
    for place in (5, 2):
        client.send("POST", "/judge", {"place": place, "id": ROWS[place], "verdict": "accept"})
    latest = json.loads(client.send("GET", "/setting").body)["latest"]
    assert latest["place"] == 2
    latest = json.loads(client.send("POST", "/judge", {**latest, "verdict": "undo"}).body)["latest"]
    assert latest["place"] == 5
    assert json.loads(client.send("POST", "/judge", {**latest, "verdict": "undo"}).body)["latest"] is None
    assert read_decisions(run_folder / "review") == {}


def test_a_broken_decision_file_of_another_reviewer_is_told_on_the_page_and_stops_nobody(client: Client, run_folder: Path) -> None:
    (run_folder / "review" / "bob.jsonl").write_text("{}\n")
    answer = client.send("POST", "/judge", ACCEPT)
    assert answer.status == 200
    (figure,) = json.loads(answer.body)["figures"]
    assert "bob.jsonl:1: this line is no judgement of a reviewer" in figure
    assert (run_folder / "review" / "ann.jsonl").read_text().count("\n") == 1


def test_a_folder_whose_name_is_no_text_is_reviewed_all_the_same(tmp_path: Path, opened: Opened) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    build_run(tmp_path / "plain").rename(odd)
    # pyarrow takes no such path; from within the folder, or by a link to it, the run is read.
    (tmp_path / "link").symlink_to(odd)
    client = Client(opened(tmp_path / "link"))
    page = client.send("GET", "/")
    assert (page.status, "<h1>caf\ufffd</h1>" in page.body) == (200, True)
    assert client.send("POST", "/judge", ACCEPT).status == 200


def test_ctrl_c_ends_a_session_with_its_state(run_folder: Path, opened: Opened) -> None:
    running = opened(run_folder, "--sample", "4", "--json")
    client = Client(running)
    for place, verdict in enumerate(("accept", "reject", "accept", "accept")):
        seen = json.loads(client.send("GET", f"/row?move=here&place={place}").body)["row"]
        client.send("POST", "/judge", {"place": place, "id": seen["id"], "verdict": verdict})
    state = json.loads(running.stop().splitlines()[-1])
    assert {name: state[name] for name in ("rows", "judged", "accepted", "mended", "rejected", "kappa")} == {
        "rows": 4, "judged": 4, "accepted": 3, "mended": 0, "rejected": 1, "kappa": None,
    }  # fmt: skip
    assert (state["error_rate"]["wrong"], state["error_rate"]["n"], state["error_rate"]["population"]) == (1, 4, 24)
    assert _status(run_folder, "--sample", "4") == state


def _status(run: Path, *options: str) -> Any:
    command = [sys.executable, "-c", COMMAND]
    done = subprocess.run([*command, str(run), "--status", "--json", *options], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_no_torch_is_loaded(run_folder: Path) -> None:
    code = (
        "import sys; from tunewell.review import Places, state_of_review; import tunewell.review.app; from pathlib import Path; "
        "run = Path(sys.argv[1]); state_of_review(Places(run / '2-generate', run / '1-collect', run / 'review')); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run_folder)], check=False).returncode == 0


def test_a_port_that_is_taken_is_named(run_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MachineError) as caught:
            review(places(run_folder), "ann", port=port, language="en", ready=lambda address: None)
    assert caught.value.what == "this port is taken"
    assert caught.value.where == f"127.0.0.1:{port}"


def test_without_its_packages_the_page_says_what_to_install(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MachineError) as caught:
        review(places(run_folder), "ann", port=0, language="en", ready=lambda address: None)
    assert caught.value.what == "`review` needs the packages starlette and uvicorn"
    assert caught.value.hint == "pip install 'tunewell[review]'"


def test_a_second_page_of_the_same_reviewer_is_refused(run_folder: Path) -> None:
    with DecisionLog(run_folder / "review", "ann"), pytest.raises(MachineError) as caught:
        review(places(run_folder), "ann", port=0, language="en", ready=lambda address: None)
    assert caught.value.what == "ann is reviewing this run already"
