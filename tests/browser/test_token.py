"""A studio that needs a token: asked for calmly, kept nowhere in the page, and nothing painted is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import House, Studio
from tests.browser.test_accessibility import AXE, findings
from tests.browser.test_language import english_left

GOOD = "sb_good-Token_1"
NEEDED = {
    "type": "urn:scenebrush:problem:token-needed",
    "title": "A token is needed",
    "status": 401,
    "detail": "The request came without one.",
    "next": "Send Authorization: Bearer TOKEN.",
}


class Gate:
    """Stands before a server as its own guard does: 401 and 4401 without the cookie, which `POST /session`
    brings for the one good token."""

    def __init__(self, page: Page, *, signed_in: bool = False) -> None:
        self.signed_in = signed_in
        self.required = True
        self.asked: list[str] = []
        self.lines: list[WebSocketRoute] = []
        page.route("**/session", self._session)
        for path in ("models", "generate"):
            page.route(f"**/{path}", self._guarded)
        page.route_web_socket("**/live", self._live)

    @property
    def _open(self) -> bool:
        return self.signed_in or not self.required

    def _session(self, route: Route) -> None:
        request = route.request
        self.asked.append(f"{request.method} session")
        if request.method == "GET":
            session = {"required": self.required, "signed_in": self.signed_in, "name": "Ada"}
            route.fulfill(json=session)
        elif request.method == "POST" and request.post_data_json != {"token": GOOD}:
            unknown = NEEDED | {"type": "urn:scenebrush:problem:token-unknown"}
            route.fulfill(status=401, json=unknown, content_type="application/problem+json")
        else:
            self.signed_in = request.method == "POST"
            route.fulfill(status=204)

    def _guarded(self, route: Route) -> None:
        self.asked.append(route.request.url.rsplit("/", 1)[-1])
        if self._open:
            route.continue_()
        else:
            route.fulfill(status=401, json=NEEDED, content_type="application/problem+json")

    def _live(self, route: WebSocketRoute) -> None:
        if not self._open:
            route.close(code=4401, reason="a token is needed")
            return
        self.lines.append(route)
        server = route.connect_to_server()
        route.on_message(server.send)
        server.on_message(route.send)

    def take_back(self) -> None:
        """The token is revoked while somebody paints."""
        self.signed_in = False
        self.lines[-1].close(code=4401, reason="the token is not known any more")


def forgive(complaints: list[str]) -> None:
    """Chromium's console tells of every 401."""
    complaints[:] = [text for text in complaints if "401" not in text]


def kept(page: Page) -> str:
    """Everything that scripts of this address can read again later."""
    return page.evaluate(
        """async () => {
            const found = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie];
            for (const { name } of await indexedDB.databases()) {
                const db = await new Promise((done) => {
                    const opening = indexedDB.open(name);
                    opening.onsuccess = () => done(opening.result);
                });
                for (const store of db.objectStoreNames) {
                    const all = await new Promise((done) => {
                        const reading = db.transaction(store).objectStore(store).getAll();
                        reading.onsuccess = () => done(reading.result);
                    });
                    found.push(JSON.stringify(all));
                }
                db.close();
            }
            return found.join();
        }"""
    )


def test_a_token_opens_the_studio_and_is_kept_nowhere(
    page: Page, house: House, complaints: list[str]
) -> None:
    gate = Gate(page)
    page.goto(f"{house.url}/#token=sb_mistyped")
    dialog = page.get_by_role("dialog", name="This studio needs a token")
    field, complaint = dialog.get_by_label("Token"), dialog.get_by_role("alert")
    expect(complaint).to_contain_text("This token is not known here.")
    expect(field).to_be_focused()
    expect(field).to_have_value("sb_mistyped")
    expect(field).to_have_attribute("type", "password")
    assert page.url == f"{house.url}/"
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(complaint).to_have_text("Paste your token first.")
    # As it is pasted from a message: with the link around it, and a line end.
    field.fill(f"  {house.url}/#token={GOOD}\n")
    dialog.get_by_role("button", name="Open the studio").click()
    studio = Studio(page, house.url).settle()
    expect(dialog).to_be_hidden()
    expect(page.locator("#link-text")).to_have_text("Connected")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.6, 0.3))
    studio.settle()
    assert GOOD not in kept(page)
    assert page.locator("#token").input_value() == ""
    page.reload()
    studio.settle()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("button[data-action=sign-out]")).to_be_visible()
    assert gate.asked.count("POST session") == 2, "the good one and the mistyped one"
    forgive(complaints)


def test_a_token_in_the_link_is_taken_out_of_it_and_posted_once(
    page: Page, house: House, complaints: list[str]
) -> None:
    gate = Gate(page)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url + json.dumps(request.headers)))
    studio = Studio(page, f"{house.url}/#token={GOOD}").open()
    assert page.url == f"{house.url}/"
    assert gate.asked[0] == "POST session", "nothing is asked for before the server knows who asks"
    assert gate.asked.count("POST session") == 1
    assert gate.asked.count("models") == 1
    assert GOOD not in "".join(addresses)
    assert GOOD not in kept(page)
    expect(page.locator("dialog[open]")).to_have_count(0)
    # The same link once more, in the window that is open already.
    page.evaluate("(token) => { location.hash = `token=${token}` }", GOOD)
    studio.until("!location.hash && s.live.line.phase === 'ready'")
    studio.settle()
    assert gate.asked.count("POST session") == 2


def test_where_everybody_is_let_in_a_link_with_a_token_asks_nobody(
    page: Page, house: House, complaints: list[str]
) -> None:
    page.route("**/session", lambda route: route.fulfill(status=404, json={"title": "No token is asked for"}))
    studio = Studio(page, f"{house.url}/#token={GOOD}").open()
    assert page.url == f"{house.url}/"
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(studio.button("sign-out")).to_be_hidden()
    complaints[:] = [text for text in complaints if "404" not in text]


def test_painting_goes_on_without_a_token_and_nothing_is_lost(
    page: Page, house: House, complaints: list[str]
) -> None:
    gate = Gate(page, signed_in=True)
    studio = Studio(page, house.url).open()
    for action in ("sign-in", "sign-out"):
        expect(studio.button(action)).to_be_hidden()  # nobody has had to sign in here
    before = studio.picture
    studio.choose("house")
    studio.press([(0.1, 0.2), (0.3, 0.2)])
    gate.take_back()
    studio.until("s.live.line.phase === 'locked'")
    dialog = page.get_by_role("dialog", name="This studio needs a token")
    page.mouse.move(*studio.at(0.5, 0.2), steps=4)
    expect(dialog).to_be_hidden()  # not into the middle of a stroke
    page.mouse.up()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#link-text")).to_have_text("Not signed in. Keep painting.")
    notice = page.locator(".notice").filter(has_text="Without a token there are no photos.")
    expect(notice.get_by_role("button", name="Sign in")).to_be_visible()
    studio.drag((0.1, 0.5), (0.9, 0.5))
    labels = studio.labels
    painted = (labels == studio.id_of("house")).sum()
    assert painted > 3000
    lines = len(gate.lines)
    # What somebody wishes for waits for them to sign in, and is done then.
    studio.do("save-photo")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Token").fill(GOOD)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).stat().st_size > 1000
    studio.settle()
    expect(notice).to_have_count(0)
    assert len(gate.lines) == lines + 1
    assert (studio.labels == labels).all()
    painted_then = studio.picture
    assert painted_then != before
    page.reload()
    assert studio.settle().picture == painted_then, "all of it has been painted"
    forgive(complaints)


def test_signing_out_is_done_from_the_top_line(page: Page, house: House, complaints: list[str]) -> None:
    gate = Gate(page)
    studio = Studio(page, f"{house.url}/#token={GOOD}").open()
    out = studio.button("sign-out")
    expect(out).to_have_attribute("data-tip-hint", "You are signed in as Ada.")
    out.click()
    dialog = page.get_by_role("dialog", name="This studio needs a token")
    expect(dialog).to_be_visible()
    assert gate.asked[-1] == "DELETE session"
    page.keyboard.press("Escape")
    expect(out).to_be_hidden()
    page.get_by_role("toolbar").first.focus()
    studio.do("help")
    expect(page.locator("#help-body dt").filter(has_text="Sign in")).to_be_visible()
    expect(page.locator("#help-body dt").filter(has_text="Sign out")).to_have_count(0)
    page.keyboard.press("Escape")
    studio.do("sign-in")
    expect(dialog).to_be_visible()
    # Another window signs in, and somebody looks at this one again.
    gate.signed_in = True
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(dialog).to_be_hidden()
    studio.settle()
    expect(out).to_be_visible()
    forgive(complaints)


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: `make setup` does it")
def test_the_dialog_is_fit_for_a_phone_and_for_everybody(browser: Browser, house: House) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        locale="zh-CN",
        reduced_motion="reduce",
        bypass_csp=True,
        has_touch=True,
    )
    try:
        page = context.new_page()
        Gate(page)
        page.goto(house.url)
        dialog = page.locator("#sign-in")
        expect(dialog).to_be_visible()
        page.locator("#sign-in [type=submit]").click()
        expect(dialog.get_by_role("alert")).not_to_be_empty()
        page.add_script_tag(path=AXE)
        assert findings(page) == []
        for button in dialog.locator("button, input").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 40
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        assert english_left(page) == []
        page.set_viewport_size({"width": 1440, "height": 900})
        assert findings(page) == []
    finally:
        context.close()
