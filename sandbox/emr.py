"""A pretend EMR: a FHIR R4 server behind SMART Backend Services, on loopback, holding what `maker` made.

In a test: `async with SandboxEmr(Store(clinic_day())) as emr: …emr.base_url`. As a process:
`python -m ptbridge_sandbox.emr --port 0` prints `ready http://127.0.0.1:PORT` (the FHIR base is that + `/fhir`) and stops on
SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import date
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web

from .capability import capability_statement, smart_configuration
from .corpus import load_folder
from .faults import Fault, Faults
from .maker import DAY, SEED, Scale, clinic_day
from .pages import Pages, outcome
from .search import FULL, PROFILES, Profile, SearchRefused, anything, find
from .smart import Authority, Client, TokenRefused, allows
from .store import Store

FHIR_JSON = "application/fhir+json"
_PUBLIC = frozenset({"/auth/token", "/fhir/metadata", "/fhir/.well-known/smart-configuration"})
"""What is answered without a token (SMART App Launch, conformance)."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SandboxEmr:
    """The server. `store`, `faults` and `authority` may be changed while it runs; `requests` lists what was asked.

    `largest_page` caps `_count`; `totals` gives `Bundle.total` without being asked; `lenient` ignores unknown search
    parameters instead of refusing them.
    """

    def __init__(
        self,
        store: Store,
        *,
        profile: Profile = FULL,
        authority: Authority | None = None,
        faults: Faults | None = None,
        page_size: int = 50,
        largest_page: int = 1000,
        totals: bool = False,
        lenient: bool = False,
        port: int = 0,
    ) -> None:
        self.store, self.profile = store, profile
        self.authority = authority or Authority()
        self.faults = faults or Faults()
        self.requests: deque[str] = deque(maxlen=20_000)
        self.base_url = self.origin = ""
        self._lenient, self._port = lenient, port
        self._pages = Pages(store, self.faults, page_size=page_size, largest_page=largest_page, totals=totals)
        self._runner: web.AppRunner | None = None

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> SandboxEmr:
        self._runner = web.AppRunner(self._app(), access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        self.base_url = self._pages.base_url = f"{self.origin}/fhir"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def token_url(self) -> str:
        """Where tokens are issued; also the `aud` of a client assertion."""
        return f"{self.origin}/auth/token"

    def expire_pages(self) -> None:
        """Make every next link given out so far lead nowhere, as a restart of a real server does."""
        self._pages.forget()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._around], client_max_size=4 << 20)
        app.router.add_post("/auth/token", self._token)
        app.router.add_get("/fhir/.well-known/smart-configuration", self._smart_configuration)
        app.router.add_get("/fhir/metadata", self._metadata)
        app.router.add_get("/fhir", self._next_page)
        app.router.add_get("/fhir/{type}", self._search)
        app.router.add_post("/fhir/{type}/_search", self._search)
        app.router.add_get("/fhir/{type}/{id}", self._read)
        return app

    # ------------------------------------------------------------ around every request

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        try:
            answer = await self._answer(request, handler)
        except SearchRefused as refused:
            answer = _outcome_response(400, refused.code, str(refused))
        except web.HTTPException as error:
            answer = _outcome_response(error.status, "not-found", f"{request.path} is not served here.")
        answer.headers["Date"] = format_datetime(self.store.now(), usegmt=True)
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        public = request.path in _PUBLIC
        if not public:
            refused = self._unauthorized(request)
            if refused is not None:
                return refused
        if public and not self.faults.everywhere:
            return await handler(request)
        if self.faults.strikes(Fault.SLOW):
            await asyncio.sleep(self.faults.slow_seconds)
        return self._spoiled() or await handler(request)

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if self.authority.is_open:
            return None
        scope = self.authority.scope_of(request.headers.get("Authorization"))
        if scope is None:
            response = _outcome_response(401, "login", "The access token is missing, unknown or expired.")
            response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
            return response
        type_ = request.match_info.get("type")
        interaction = "r" if "id" in request.match_info else "s"
        if type_ and not allows(scope, type_, interaction):
            return _outcome_response(403, "forbidden", f"The token's scopes do not allow {type_}.")
        return None

    def _spoiled(self) -> web.Response | None:
        """An answer that takes the place of the right one, when a fault says so."""
        fault = self.faults.strikes(
            Fault.TOO_MANY_REQUESTS, Fault.SERVER_ERROR, Fault.BAD_REQUEST_OUTAGE, Fault.HTML, Fault.OUTCOME_WHOLE
        )
        match fault:
            case Fault.TOO_MANY_REQUESTS:
                response = _outcome_response(429, "throttled", "Too many requests.")
                if self.faults.retry_after is not None:
                    response.headers["Retry-After"] = self.faults.retry_after
                return response
            case Fault.SERVER_ERROR:
                return _outcome_response(self.faults.server_error_status, "transient", "The server is not available.")
            case Fault.BAD_REQUEST_OUTAGE:
                return _outcome_response(400, "invalid", "The request could not be processed.")
            case Fault.HTML:
                return web.Response(text="<html><body><h1>Sign in</h1></body></html>", content_type="text/html")
            case Fault.OUTCOME_WHOLE:
                return _outcome_response(200, "exception", "The search could not be completed.")
        return None

    # ------------------------------------------------------------ endpoints

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        try:
            granted = self.authority.token(form, request.headers.get("Authorization"), token_url=self.token_url)
        except TokenRefused as refused:
            error = {"error": refused.error, "error_description": str(refused)}
            return web.json_response(error, status=refused.status, headers={"Cache-Control": "no-store"})
        return web.json_response(granted, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    async def _smart_configuration(self, request: web.Request) -> web.Response:
        return web.json_response(smart_configuration(self.authority, self.token_url))

    async def _metadata(self, request: web.Request) -> web.Response:
        statement = capability_statement(self.profile, self.authority, self.base_url, self.token_url, self.store.now())
        return web.Response(body=orjson.dumps(statement), content_type=FHIR_JSON)

    async def _search(self, request: web.Request) -> web.Response:
        parameters = [(name, value) for name, value in request.query.items()]
        if request.method == "POST":
            parameters += [(name, value) for name, value in (await request.post()).items() if isinstance(value, str)]
        type_ = request.match_info["type"]
        found = find(self.store, self.profile, type_, parameters, lenient=self._lenient)
        return self._page(self._pages.first(type_, parameters, found, f"{self.origin}{request.path_qs}"))

    async def _next_page(self, request: web.Request) -> web.Response:
        token = request.query.get("_getpages", "")
        page = None if self.faults.strikes(Fault.EXPIRED_NEXT) else self._pages.following(token)
        if page is None:
            return _outcome_response(410, "expired", "This page is no longer available; run the search again.")
        return self._page(page)

    def _page(self, body: bytes) -> web.Response:
        if self.faults.strikes(Fault.TRUNCATED):
            body = body[: len(body) // 2]
        return web.Response(body=body, content_type=FHIR_JSON)

    async def _read(self, request: web.Request) -> web.Response:
        type_, id_ = request.match_info["type"], request.match_info["id"]
        if type_ not in self.profile.types:
            raise SearchRefused(f"{type_} is not served here.")
        entry = self.store.get(type_, id_)
        if entry is None:
            gone = (type_, id_) in self.store.tombstones
            return _outcome_response(410 if gone else 404, "deleted" if gone else "not-found", f"{type_} is not here.")
        return web.Response(body=self.store.body(entry), content_type=FHIR_JSON, headers={"ETag": f'W/"{entry.version}"'})


def _outcome_response(status: int, code: str, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(outcome("error", code, text)), content_type=FHIR_JSON)


def serve_corpus(folder: Path, *, faults: Faults | None = None, page_size: int = 50) -> SandboxEmr:
    """A server, open to all, that holds every FHIR file of a folder as it is, whatever types those are."""
    store = Store()
    load_folder(store, folder)
    return SandboxEmr(store, profile=anything(store), faults=faults, page_size=page_size)


# ---------------------------------------------------------------- as a process


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ptbridge_sandbox.emr", description="A pretend EMR on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--encounters", type=int, default=0, help="this many clean visits instead of one clinic's day")
    parser.add_argument("--days", type=int, default=250, help="spread them over so many days")
    parser.add_argument("--day", type=date.fromisoformat, default=DAY, help="the clinic's day, or the last one of many")
    parser.add_argument("--time-zone", type=ZoneInfo, default=ZoneInfo("America/Chicago"))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--folder", type=Path, help="serve the FHIR files of this folder instead")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="full")
    parser.add_argument("--page-size", type=int, default=50, help="entries on a page when a search names no _count")
    parser.add_argument("--client-id", default="ptbridge", help="the registered client")
    parser.add_argument("--jwks-file", type=Path, help="its public keys: it signs in with private_key_jwt")
    parser.add_argument("--secret-file", type=Path, help="its secret: it signs in with client_secret_basic or _post")
    parser.add_argument("--bearer-file", type=Path, help="a static bearer token that is always good")
    parser.add_argument("--token-seconds", type=int, default=60)
    return parser


def _store(arguments: argparse.Namespace) -> Store:
    if arguments.encounters:
        store = Store()
        store.add_visits(
            Scale(
                arguments.encounters,
                days=arguments.days,
                seed=arguments.seed,
                last_day=arguments.day,
                time_zone=arguments.time_zone,
            )
        )
        return store
    return Store(clinic_day(arguments.day, arguments.time_zone, arguments.seed))


def _authority(arguments: argparse.Namespace) -> Authority:
    clients: tuple[Client, ...] = ()
    if arguments.jwks_file or arguments.secret_file:
        jwks = orjson.loads(arguments.jwks_file.read_bytes()) if arguments.jwks_file else None
        secret = arguments.secret_file.read_text().strip() if arguments.secret_file else None
        clients = (Client(id=arguments.client_id, jwks=jwks, secret=secret),)
    bearer = (arguments.bearer_file.read_text().strip(),) if arguments.bearer_file else ()
    return Authority(clients=clients, bearer_tokens=bearer, token_seconds=arguments.token_seconds)


async def _serve(arguments: argparse.Namespace) -> None:
    if arguments.folder is not None:
        load_folder(store := Store(), arguments.folder)
        profile = anything(store)
    else:
        store, profile = _store(arguments), PROFILES[arguments.profile]
    emr = SandboxEmr(
        store,
        profile=profile,
        authority=_authority(arguments),
        page_size=arguments.page_size,
        port=arguments.port,
    )
    # What the store holds lives as long as the process: keep the collector from walking it again and again.
    gc.freeze()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # event loops on Windows have no signal handlers
            loop.add_signal_handler(number, stop.set)
    async with emr:
        sys.stdout.write(f"ready {emr.origin}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run the server until SIGTERM or SIGINT."""
    asyncio.run(_serve(_arguments().parse_args(arguments)))


if __name__ == "__main__":
    main()
