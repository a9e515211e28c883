"""The pages as a browser shows them: set-up, sign-in, grant, and the first
page.

Needs Chromium and its driver. With the variable SCREENSHOTS set to a folder,
each page is saved there at both sizes, light and dark.
"""
import os
import re
import urllib.parse

import pytest
from conftest import LIMIT, Site, UPLINK, until

selenium = pytest.importorskip("selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--no-proxy-server",
         "--disable-dev-shm-usage", "--lang=en"]
ASK = {"response_type": "code", "client_id": "public",
       "redirect_uri": "http://localhost:1080/auth/oauth2/redirect",
       "scope": "unit.get device.get", "state": "s 1"}


class Browser:
    """One Chromium with a profile of its own."""

    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument("--user-data-dir=%s" % folder)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.driver = webdriver.Chrome(
            service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(LIMIT)

    def open(self, url):
        self.driver.get(url)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="main"):
        return self.find(selector).text

    def type(self, name, text):
        field = self.find("[name=%s]" % name)
        field.clear()
        field.send_keys(text)

    def submit(self, selector="form button:not(.other)"):
        """Sends the form and waits for the page that follows."""
        old = self.find("html")
        self.find(selector).click()
        until("a new page", lambda: self.is_gone(old))
        until("all of it", lambda: self.run("document.readyState") ==
              "complete")

    @staticmethod
    def is_gone(element):
        try:
            element.is_enabled()
            return False
        except Exception:  # the driver has many names for it
            return True

    @property
    def url(self):
        return self.driver.current_url

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(
            urllib.parse.urlparse(self.url).query))

    def run(self, script):
        return self.driver.execute_script("return " + script)

    def dark(self, on):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme",
                          "value": "dark" if on else "light"}]})

    def resize(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height,
                "deviceScaleFactor": 1, "mobile": width < 500})

    def asked(self):
        """Every address that a request went to."""
        import json
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found


@pytest.fixture
def browser(tmp_path):
    b = Browser(tmp_path / "profile")
    yield b
    strangers = [u for u in b.asked()
                 if not re.match(r"http://(localhost|127\.0\.0\.1):|data:|"
                                 r"about:|chrome:", u)]
    b.driver.quit()
    assert strangers == []


def looks_right(browser, name):
    """Nothing sticks out, at both sizes, light and dark."""
    folder = os.environ.get("SCREENSHOTS")
    for size, (width, height) in SIZES.items():
        browser.resize(width, height)
        wide = browser.run("document.documentElement.scrollWidth")
        assert wide <= browser.run("innerWidth") <= width, (name, size)
        for element in browser.all("main *"):
            if element.is_displayed() and not element.find_elements(
                    By.XPATH, "ancestor-or-self::pre"):
                box = element.rect
                assert box["x"] >= 0, (name, size, element.tag_name)
                assert box["x"] + box["width"] <= width + 0.5, (
                    name, size, element.tag_name)
        for dark in (False, True):
            browser.dark(dark)
            if folder:
                browser.driver.save_screenshot("%s/%s-%s-%s.png" % (
                    folder, name, size, "dark" if dark else "light"))
    browser.resize(*SIZES["wide"])
    browser.dark(False)


def auth_url(server, **more):
    return "%s/auth/oauth2/auth?%s" % (
        server.url, urllib.parse.urlencode({**ASK, **more}))


def sign_in(browser, server, password="admin", **more):
    browser.open(auth_url(server, **more))
    browser.type("account", "admin")
    browser.type("password", password)
    browser.submit()


@pytest.fixture
def asking(server):
    """A server with a client that may ask for scopes."""
    token = server.login()
    uri = server.url + "/auth/oauth2/redirect"
    answer = server.call("POST", "/auth/api/v1/client", {
        "data": {"name": "Weather <b>station</b>", "redirectUris": [uri],
                 "scopes": ["unit.get", "device.get", "network.patch"]}},
        token)
    assert answer.status == 200, answer.text
    server.ask = {"client_id": answer.data["clientId"], "redirect_uri": uri}
    return server


def test_a_first_start_is_set_up_in_the_browser(start, browser):
    server = start(password=None)
    code = re.search(r"one use: (\w+)", server.said).group(1)

    browser.open(server.url + "/auth/setup")
    looks_right(browser, "setup")
    browser.type("code", "WRONGWRONG12")
    browser.type("password", "a long password")
    browser.type("repeat", "a long password")
    browser.submit()
    assert browser.find("[role=alert]").text
    looks_right(browser, "setup-error")

    browser.type("code", code)
    browser.type("password", "a long password")
    browser.type("repeat", "another password")
    browser.submit()
    assert browser.find("[role=alert]").text

    browser.type("code", code)
    browser.type("password", "a long password")
    browser.type("repeat", "a long password")
    browser.submit()
    until("the application", lambda: "/auth/oauth2/login" in browser.url)
    assert server.login(password="a long password")

    browser.open(server.url + "/auth/setup")
    assert browser.all("form") == []
    looks_right(browser, "setup-done")


def test_the_first_page_shows_live_figures(server, browser):
    browser.open(server.url + "/plain")

    def shown(name):
        return browser.text("#" + name)

    until("the version", lambda: re.match(r"\d+\.", shown("version")))
    until("figures", lambda: shown("uplink") == "0")
    looks_right(browser, "first")
    site = Site(server, server.login())
    network = site.network()
    for _ in range(3):
        network.publish(site.net_topic("uldata"), UPLINK)
    until("the messages", lambda: shown("uplink") == shown("routed") == "3")
    until("who there is", lambda: shown("networks") == "1" and
          shown("applications") == "1")
    network.close()
    server.stop()
    until("the news", lambda: "not answer" in shown("state"))
    server.start()


def test_signing_in_grants_a_code_that_is_a_token(asking, browser):
    server = asking
    browser.open(auth_url(server, **server.ask))
    looks_right(browser, "login")
    browser.type("account", "admin")
    browser.type("password", "wrong")
    browser.submit()
    assert browser.find("[role=alert]").text
    assert browser.find("[name=account]").get_attribute("value") == "admin"
    assert browser.find("[name=password]").get_attribute("value") == ""
    looks_right(browser, "login-error")

    browser.type("password", "admin")
    browser.submit()
    assert "Weather <b>station</b>" in browser.text()
    assert "device.get" in browser.text()
    looks_right(browser, "grant")
    browser.submit()
    assert browser.query["state"] == ASK["state"]
    answer = server.call("POST", "/auth/oauth2/token", form={
        "grant_type": "authorization_code", "code": browser.query["code"],
        "redirect_uri": server.ask["redirect_uri"],
        "client_id": server.ask["client_id"]})
    assert answer.status == 200, answer.text
    assert set(answer.json()["scope"].split()) == {"unit.get", "device.get"}


def test_denying_tells_the_client(asking, browser):
    sign_in(browser, asking, **asking.ask)
    browser.submit("button.other")
    assert browser.query["error"] == "access_denied"
    assert browser.query["state"] == ASK["state"]
    assert "code" not in browser.query


def test_the_keyboard_is_enough(asking, browser):
    browser.open(auth_url(asking, **asking.ask))

    def press(*keys):
        browser.driver.switch_to.active_element.send_keys(*keys)

    def focused():
        return browser.driver.switch_to.active_element.get_attribute("name")

    assert focused() == "account"
    press("admin", Keys.TAB)
    assert focused() == "password"
    old = browser.find("html")
    press("admin", Keys.ENTER)
    until("the grant", lambda: browser.is_gone(old) and browser.all(".pair"))
    for _ in range(5):
        if browser.driver.switch_to.active_element.text == "Allow":
            break
        press(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Allow"
    old = browser.find("html")
    press(Keys.ENTER)
    until("the code", lambda: browser.is_gone(old) and "code=" in browser.url)


def test_a_template_of_ones_own_is_shown(start, browser, tmp_path):
    page = tmp_path / "login.html"
    page.write_text("<!doctype html><title>Ours</title><main><h1>Our house"
                    "</h1><form method=post action='{{ scope_path }}/oauth2/"
                    "login'><input name=state type=hidden value='{{ state }}'>"
                    "<input name=account><input name=password type=password>"
                    "<button>In</button></form></main>")
    settings = tmp_path / "settings.json5"
    settings.write_text("{ auth: { templates: { login: '%s' } } }" % page)
    server = start("-f", str(settings))
    browser.open(auth_url(
        server, redirect_uri=server.url + "/auth/oauth2/redirect", scope=""))
    assert browser.text("h1") == "Our house"
    browser.type("account", "admin")
    browser.type("password", "admin")
    browser.submit()
    assert browser.all(".pair")
