"""The web application's sign-in over HTTP: its refresh token is a cookie that
only /refresh gets, and that no other site and no other client can use."""
import re
import urllib.parse

import pytest

OAUTH = "/auth/oauth2"


class Web:
    def __init__(self, server):
        self.server = server
        self.origin = "http://" + server.url.split("//")[1]
        self.uri = self.origin + "/signed-in"
        self.sent = {"X-Marram": "app", "Origin": self.origin,
                     "Sec-Fetch-Site": "same-origin"}

    def code(self):
        """A code for the application's address."""
        query = urllib.parse.urlencode({
            "response_type": "code", "client_id": "public",
            "redirect_uri": self.uri})
        login = self.server.call("POST", OAUTH + "/login", form={
            "state": query, "account": "admin", "password": "admin"})
        # who trusts the server trusts its own application: nothing is asked
        return dict(urllib.parse.parse_qsl(
            login.headers["location"].partition("?")[2]))["code"]

    def token(self, **headers):
        return self.server.call("POST", OAUTH + "/token", form={
            "grant_type": "authorization_code", "code": self.code(),
            "redirect_uri": self.uri, "client_id": "public"},
            headers={**self.sent, **headers})

    def refresh(self, cookie, **headers):
        sent = {**self.sent, **headers}
        if cookie:
            sent["Cookie"] = cookie
        return self.server.call("POST", OAUTH + "/refresh", form={
            "grant_type": "refresh_token"},
            headers={k: v for k, v in sent.items() if v is not None})


@pytest.fixture
def web(server):
    return Web(server)


def cookie(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_the_refresh_token_is_a_cookie(web):
    first = web.token()
    assert first.status == 200, first.text
    assert "refresh_token" not in first.json()
    port = web.origin.rpartition(":")[2]
    assert re.fullmatch(
        r"marram_refresh_%s=[\w-]+; Path=/auth/oauth2/refresh; HttpOnly; "
        r"SameSite=Strict; Max-Age=1209600" % port, first.headers["Set-Cookie"])
    second = web.refresh("other=1; " + cookie(first))
    assert second.status == 200 and "refresh_token" not in second.json()
    assert cookie(second) != cookie(first)
    assert second.json()["access_token"] != first.json()["access_token"]
    info = web.server.call("GET", "/auth/api/v1/auth/tokeninfo",
                           token=second.json()["access_token"])
    assert info.data["account"] == "admin"


@pytest.mark.parametrize("wrong", [
    {"X-Marram": None}, {"Origin": None}, {"Origin": "http://evil.example"},
    {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}])
def test_what_another_site_sends_is_refused(web, wrong):
    first = web.token()
    assert web.refresh(cookie(first), **wrong).status == 400
    # and it has harmed nothing
    assert web.refresh(cookie(first)).status == 200


def test_a_code_of_the_application_is_for_the_application(web):
    answer = web.server.call("POST", OAUTH + "/token", form={
        "grant_type": "authorization_code", "code": web.code(),
        "redirect_uri": web.uri, "client_id": "public"})
    assert answer.status == 400 and "refresh_token" not in answer.text
    assert web.token(Origin="http://evil.example").status == 400


def test_a_cookie_is_good_again_for_a_moment_and_not_for_long(web):
    """A second tab, or a page that was closed in between."""
    first = web.token()
    second, third = web.refresh(cookie(first)), web.refresh(cookie(first))
    assert second.status == third.status == 200
    for answer in (second, third):
        info = web.server.call("GET", "/auth/api/v1/auth/tokeninfo",
                               token=answer.json()["access_token"])
        assert info.status == 200


def test_without_a_cookie_there_is_nothing(web):
    assert web.refresh(None).status == 400
    assert web.refresh("marram_refresh=x").status == 400
    assert web.refresh("marram_refresh_%s=nonsense" %
                       web.origin.rpartition(":")[2]).status == 400


def test_signing_out_takes_the_cookie(web):
    first = web.token()
    out = web.server.call("POST", "/auth/api/v1/auth/logout",
                          token=first.json()["access_token"])
    assert out.status == 204
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    assert cookie(out).endswith("=")
    assert web.refresh(cookie(first)).status == 400
