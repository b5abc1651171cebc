"""Every rule that keeps the server safe: the text that makes it hold, what it would be without, and the test
that must fail then."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """`text` stands exactly once in `file`; with `instead` in its place `test` must fail."""

    name: str
    file: str
    text: str
    instead: str
    test: str


_APP = "tests/server/test_app.py::"
_HEADERS = "tests/server/test_headers.py::"
_GATE = "tests/server/test_gate.py::"
_TOKENS = "tests/server/test_tokens.py::"
_LIMITS = "tests/server/test_client_limits.py::"
_SOCKETS = "tests/server/test_guarded_sockets.py::"
_CONNECTIONS = "tests/server/test_connections.py::"
_GENERATE = "tests/server/test_generate.py::"
_LIVE = "tests/server/test_live.py::"
_PROTOCOL = "tests/server/test_protocol.py::"
_ANSWERS = f"{_HEADERS}test_every_kind_of_answer_has_every_header"

HEADERS = (
    Rule("API policy", "server/middleware.py", '    "Content-Security-Policy": API_POLICY,\n', "", _ANSWERS),
    Rule("nosniff", "server/middleware.py", '    "X-Content-Type-Options": "nosniff",\n', "", _APP + "test_security_headers_on_every_answer"),
    Rule("no referrer", "server/middleware.py", '    "Referrer-Policy": "no-referrer",\n', "", _APP + "test_security_headers_on_every_answer"),
    Rule("nothing is cached", "server/middleware.py", '    "Cache-Control": "no-store",\n', "", _APP + "test_security_headers_on_every_answer"),
    Rule("headers on answers", "server/middleware.py", "                _add_headers(message, scope[REQUEST_ID])\n", "                message.setdefault('headers', [])\n", _ANSWERS),
    Rule("opener policy", "server/middleware.py", "headers.setdefault(name, value)", "name.startswith('Cross') or headers.setdefault(name, value)", _ANSWERS),
    Rule("permissions policy", "server/middleware.py", "    for name, value in SECURITY_HEADERS.items():\n", "    for name, value in [*SECURITY_HEADERS.items()][:5]:\n", _ANSWERS),
    Rule("page policy", "server/routes/studio.py", '"Content-Security-Policy": PAGE_POLICY', '"Content-Security-Policy": "default-src *"', _ANSWERS),
    Rule("no framing of the page", "server/routes/studio.py", '    "frame-ancestors \'none\'"\n', '    ""\n', _HEADERS + "test_the_policies_allow_nothing_from_elsewhere"),
    Rule("docs policy", "server/routes/docs.py", '"Content-Security-Policy": DOCS_POLICY', '"X-Nothing": "x"', _ANSWERS),
    Rule("HSTS over https alone", "server/middleware.py", 'if self._hsts and scope["scheme"] == "https":', "if self._hsts:", _HEADERS + "test_https_is_made_lasting_only_over_https_and_only_if_asked_for"),
    Rule("HSTS only when set", "server/middleware.py", 'if self._hsts and scope', "if scope", _HEADERS + "test_https_is_made_lasting_only_over_https_and_only_if_asked_for"),
    Rule("headers of uvicorn's 400", "server/guard/connections.py", "        self._refuse(_unreadable())\n", "        super().send_400_response(msg)\n", _CONNECTIONS + "test_what_is_no_request_is_told_so_with_all_headers"),
    Rule("headers of refused handshakes", "server/guard/connections.py", "        self.conn.reject = reject\n", "", _CONNECTIONS + "test_refused_handshakes_have_all_headers"),
    Rule("addresses under the root path", "server/routes/studio.py", 'assets=f"{base}/assets/', 'assets=f"/assets/', _HEADERS + "test_every_address_lies_under_the_root_path"),
)  # fmt: skip

WHO_MAY_ASK = (
    Rule("host", "server/middleware.py", 'or "*" in self._hosts or self._is_ours(scope)', "or True", _APP + "test_only_our_own_names_are_answered"),
    Rule("host of sockets", "server/middleware.py", '        if scope["type"] == "lifespan" or "*" in', '        if scope["type"] != "http" or "*" in', _LIVE + "test_a_host_that_is_not_ours"),
    Rule("origin of requests", "server/middleware.py", "if harmless or is_own_origin(", "if True or is_own_origin(", _APP + "test_pages_of_other_origins_cannot_spend_the_device"),
    Rule("origin of sockets", "server/routes/live.py", "if not is_own_origin(socket.headers, services.settings.origins):", "if False:", _LIVE + "test_a_page_of_another_origin"),
    Rule("origin of a cookie's socket", "server/routes/live.py", "raise ConnectionOverError(Close.ORIGIN, ", "return\n        raise ConnectionOverError(Close.ORIGIN, ", _SOCKETS + "test_a_cookie_does_not_let_another_site_in"),
    Rule("CORS off", "server/app.py", "    if settings.cors_origins:\n", "    if True:\n", _APP + "test_cors_is_off_unless_origins_are_named"),
    Rule("plain request ids", "server/middleware.py", "return given if _REQUEST_ID_SHAPE.fullmatch(given) else", "return given if given else", _APP + "test_request_ids"),
    Rule("trusted proxies alone", "server/serving.py", "forwarded_allow_ips=list(settings.trusted_proxies)", 'forwarded_allow_ips=["*"]', _SOCKETS + "test_a_forged_address_is_not_believed"),
)  # fmt: skip

TOKENS = (
    Rule("a token is needed", "server/guard/guard.py", "        raise token_unknown() if visitor.offered else token_needed()\n", "", _GATE + "test_what_needs_a_token_and_what_does_not"),
    Rule("public is what is listed", "server/guard/guard.py", '_PUBLIC: Final = ("/", ', '_PUBLIC: Final = ("/", "/metrics", ', _GATE + "test_what_needs_a_token_and_what_does_not"),
    Rule("public is read, not written", "server/guard/guard.py", 'return scope["method"] in ("GET", "HEAD") and (', "return (", _GATE + "test_what_needs_a_token_and_what_does_not"),
    Rule("a socket needs one", "server/guard/guard.py", '    if scope["type"] != "http":\n        return False\n', '    if scope["type"] != "http":\n        return True\n', _SOCKETS + "test_a_socket_needs_a_token_and_a_page_can_read_why"),
    Rule("a page can read why", "server/guard/gate.py", '    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})\n', "", _SOCKETS + "test_a_socket_needs_a_token_and_a_page_can_read_why"),
    Rule("the secret is compared", "server/guard/tokens.py", "not hmac.compare_digest(token.hash, _hash(match[2]))", "False", _TOKENS + "test_a_token_is_found_by_all_of_it_and_in_its_time"),
    Rule("a token ends", "server/guard/tokens.py", " or token.is_over(now):", ":", _TOKENS + "test_a_token_is_found_by_all_of_it_and_in_its_time"),
    Rule("only a hash is kept", "server/guard/tokens.py", "Token(token_id, name, _hash(secret), ", "Token(token_id, name, secret, ", _TOKENS + "test_only_the_hash_of_the_secret_is_kept"),
    Rule("owner alone reads the file", "server/guard/tokens.py", "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600", "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644", _TOKENS + "test_the_file_is_the_owners_alone"),
    Rule("others may not write it", "server/guard/tokens.py", "if os.fstat(file.fileno()).st_mode & _OTHERS_MAY_WRITE:", "if False:", _TOKENS + "test_the_file_is_the_owners_alone"),
    Rule("a full disk leaves it whole", "server/guard/tokens.py", "        beside.unlink(missing_ok=True)\n", "", _TOKENS + "test_a_full_disk_leaves_the_old_file_whole"),
    Rule("it is on the disk first", "server/guard/tokens.py", "            os.fsync(file.fileno())\n", "", _TOKENS + "test_what_is_written_is_on_the_disk_before_it_counts"),
    Rule("its folder too", "server/guard/tokens.py", "    _sync_folder(path.parent)\n", "", _TOKENS + "test_what_is_written_is_on_the_disk_before_it_counts"),
    Rule("one change at a time", "server/guard/tokens.py", "            fcntl.flock(held, fcntl.LOCK_EX)\n", "", _TOKENS + "test_two_commands_at_once_lose_nothing"),
    Rule("a broken file lets nobody in", "server/guard/store.py", "self._tokens, self.broken = {}, True", "self.broken = False", _GATE + "test_a_broken_file_lets_nobody_in"),
    Rule("nor does it stay open", "server/guard/store.py", "return not self.broken and self._tokens.get(token.id) == token", "return self.broken or self._tokens.get(token.id) == token", _SOCKETS + "test_a_file_that_breaks_ends_what_it_let_in"),
    Rule("why repeats nothing", "server/guard/tokens.py", 'f"{where}: {first[\'type\']}"', 'f"{where}: {content}"', _TOKENS + "test_why_a_file_cannot_be_read_repeats_nothing_of_it"),
    Rule("the file is followed", "server/guard/store.py", "        if mark == self._mark and self._read_once:\n", "        if self._read_once:\n", _TOKENS + "test_a_running_server_follows_the_file"),
    Rule("revoked sockets close", "server/guard/guard.py", "            await self._end(over, Close.TOKEN, ", "            await self._end([], Close.TOKEN, ", _SOCKETS + "test_a_revoked_tokens_sockets_are_closed"),
    Rule("somebody looks for them", "server/app.py", "        asyncio.create_task(services.guard.keep()),\n", "", _SOCKETS + "test_a_revoked_tokens_sockets_are_closed"),
    Rule("expired ones close", "server/guard/store.py", " == token and not token.is_over(self._now())", " == token", _SOCKETS + "test_an_expired_tokens_sockets_are_closed"),
    Rule("the address is not read", "server/guard/guard.py", "given = _given(Headers(scope=scope)) if", 'given = (_given(Headers(scope=scope)) or scope.get("query_string", b"").decode().partition("=")[2] or None) if', _GATE + "test_the_address_is_not_read"),
    Rule("the cookie is no script's", "server/routes/session.py", "httponly=True", "httponly=False", _GATE + "test_a_browser_signs_in_and_out"),
    Rule("the cookie stays on the site", "server/routes/session.py", 'samesite="strict"', 'samesite="lax"', _GATE + "test_a_browser_signs_in_and_out"),
    Rule("the cookie is secure", "server/routes/session.py", 'secure=request.url.scheme == "https"', "secure=False", _GATE + "test_a_browser_signs_in_and_out"),
    Rule("the cookie's path", "server/routes/session.py", 'path=settings.root_path or "/"', 'path="/"', _GATE + "test_a_browser_signs_in_and_out"),
    Rule("a sign-in is small", "server/routes/session.py", "if len(body) > _MOST_BYTES:", "if False:", _GATE + "test_signing_in_says_what_is_wrong"),
    Rule("a sign-in is checked", "server/routes/session.py", "    if token is None:\n        raise token_unknown()\n", "    if token is None:\n        return Response(status_code=204)\n", _GATE + "test_signing_in_says_what_is_wrong"),
)  # fmt: skip

SHARES = (
    Rule("a rate", "server/guard/limits.py", "        if bucket.left < 1:\n", "        if False:\n", _LIMITS + "test_a_burst_and_then_the_rate"),
    Rule("the rate at the gate", "server/guard/guard.py", "                self._limiter.take(visitor.client, self._clock())\n", "                pass\n", _GATE + "test_too_many_requests_at_once_are_refused"),
    Rule("a monitor is never refused", "server/guard/guard.py", "if path not in _UNLIMITED and not", "if not", _GATE + "test_too_many_requests_at_once_are_refused"),
    Rule("guesses count", "server/guard/guard.py", 'client = address_client(scope) if token is None else f"token:{token.id}"', 'client = f"guess:{given}" if given else address_client(scope)', _GATE + "test_each_client_has_a_share_of_its_own"),
    Rule("work at once", "server/guard/guard.py", "with self._counted_refusals(), self._limiter.working(visitor.client):", "with self._counted_refusals():", _GATE + "test_one_client_works_on_a_few_requests_at_once"),
    Rule("sockets at once", "server/guard/guard.py", "with self._counted_refusals(), self._limiter.socket(visitor.client), self.sockets", "with self._counted_refusals(), self.sockets", _SOCKETS + "test_one_client_opens_so_many_sockets"),
    Rule("counts are bounded", "server/guard/limits.py", "            if len(self._buckets) >= self._most_clients:\n                return self._others\n", "", _LIMITS + "test_many_addresses_neither_grow_it_nor_reset_a_count"),
    Rule("counts are not reset", "server/guard/limits.py", "            if bucket.at + full_after > now:\n                return\n", "            if len(self._buckets) < self._most_clients:\n                return\n", _LIMITS + "test_many_addresses_neither_grow_it_nor_reset_a_count"),
    Rule("one household is one client", "server/clients.py", "_IPV6_PREFIX: Final = 64", "_IPV6_PREFIX: Final = 128", _LIMITS + "test_an_address_is_a_client"),
)  # fmt: skip

TIME = (
    Rule("a request ends", "server/guard/patience.py", "limit = asyncio.timeout(self._seconds)", "limit = asyncio.timeout(None)", _GATE + "test_a_request_that_takes_too_long_is_stopped"),
    Rule("half an answer is cut", "server/guard/patience.py", "limit = asyncio.timeout(self._seconds)", "limit = asyncio.timeout(60)", _CONNECTIONS + "test_an_answer_in_the_middle_is_cut_when_its_time_is_over"),
    Rule("a head comes", "server/guard/connections.py", '            return "head"\n', "            return None\n", _CONNECTIONS + "test_a_head_that_does_not_come_costs_the_connection"),
    Rule("the next head comes too", "server/guard/connections.py", "        if self.watch.head is None and (self._in_head or idle):\n", "        if False:\n", _CONNECTIONS + "test_the_next_head_of_a_kept_connection_is_awaited_too"),
    Rule("a head is small", "server/guard/connections.py", "if self._overhead > self._allowance or", "if", _CONNECTIONS + "test_a_head_has_an_end"),
    Rule("few are pipelined", "server/guard/connections.py", " or len(self.pipeline) > _MOST_PIPELINED:", ":", _CONNECTIONS + "test_pipelined_requests_are_few"),
    Rule("an answer is read", "server/guard/connections.py", "        if _older(self._stalled, now, self._bounds.send_timeout):\n", "        if False:\n", _CONNECTIONS + "test_a_reader_that_takes_nothing_is_told_from_a_slow_one"),
    Rule("and in good time", "server/guard/connections.py", '"unread" if _older(self.paused, now, self._bounds.request_timeout) else None', "None", _CONNECTIONS + "test_a_reader_that_takes_nothing_is_told_from_a_slow_one"),
    Rule("what is closed goes", "server/guard/connections.py", "        if _older(self.closing, now, self._bounds.send_timeout):\n", "        if False:\n", _CONNECTIONS + "test_a_closed_connection_is_let_go"),
    Rule("somebody looks", "server/serving.py", "            look_at(self.server_state.connections, ", "            look_at([], ", _CONNECTIONS + "test_an_answer_that_nobody_reads_ends"),
    Rule("frames are read", "server/guard/connections.py", "            dropped(why)\n            transport.abort()\n", "            if isinstance(connection, BoundedHttp):\n                dropped(why)\n                transport.abort()\n", _CONNECTIONS + "test_a_page_that_does_not_read_loses_its_socket"),
    Rule("pongs do not pile up", "server/guard/connections.py", "        if self.writable.is_set():\n", "        if True:\n", _CONNECTIONS + "test_pings_of_one_that_does_not_read_do_not_pile_up"),
    Rule("few fragments", "server/guard/connections.py", "if len(self.frames) >= _MOST_FRAGMENTS:", "if False:", _CONNECTIONS + "test_a_message_comes_in_few_pieces"),
    Rule("so many connections", "server/guard/connections.py", "if len(self.connections) > self._bounds.max_connections:", "if False:", _CONNECTIONS + "test_so_many_connections_are_open_at_once"),
    Rule("room for them", "server/guard/connections.py", "        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))\n", "", _CONNECTIONS + "test_open_files_are_raised_to_the_connections"),
    Rule("live is not for ever", "server/guard/guard.py", "        if self._live_seconds:\n", "        if False:\n", _SOCKETS + "test_a_socket_that_has_been_open_long_says_bye"),
    Rule("idle seats", "server/routes/live.py", "            async with asyncio.timeout_at(deadline):\n", "            async with asyncio.timeout_at(None):\n", _LIVE + "test_an_idle_painter_gives_up_its_seat"),
    Rule("a body comes", "server/middleware.py", "                async with asyncio.timeout_at(deadline):\n", "                async with asyncio.timeout_at(None):\n", _GENERATE + "test_a_body_that_does_not_arrive"),
)  # fmt: skip

SIZES = (
    Rule("a body, as announced", "server/middleware.py", "if announced.isdecimal() and int(announced) > self._max_bytes:", "if False:", _CONNECTIONS + "test_a_body_that_is_announced_too_large_is_not_waited_for"),
    Rule("a body, as it comes", "server/middleware.py", "            if received > self._max_bytes:\n", "            if False:\n", _GENERATE + "test_a_body_that_is_too_large_with_and_without_content_length"),
    Rule("a live message", "server/serving.py", "        ws_max_size=settings.max_message_bytes,\n", "", _LIVE + "test_a_message_that_is_too_big"),
    Rule("no deflate", "server/serving.py", "ws_per_message_deflate=False", "ws_per_message_deflate=True", "tests/server/test_serving.py::test_forwarded_headers_are_believed_from_named_proxies_only"),
    Rule("a map's pixels", "server/codecs.py", "    if width * height > max_pixels:\n", "    if False:\n", "tests/server/test_codecs.py::test_the_limit_is_on_pixels"),
    Rule("a map's two headers", "server/codecs.py", '                image.size == (header.width, header.height), "Its header', '                True, "Its header', "tests/server/test_codecs.py::test_two_readings_of_a_size_that_differ_are_refused"),
    Rule("a photo's pixels", "server/photos.py", "    if header.width * header.height > max_pixels:\n", "    if False:\n", "tests/server/test_photos.py::test_pixels_are_counted_before_any_is_decoded"),
    Rule("one picture a file", "server/photos.py", "    if header.animated:\n", "    if False:\n", "tests/server/test_photos.py::test_hostile_files_are_refused"),
    Rule("a picture's size", "server/limits.py", "if max(width, height) > self.max_side or width * height > self.max_pixels:", "if False:", _GENERATE + "test_values_that_do_not_fit"),
    Rule("values in JSON", "server/json_text.py", "        if separators > MOST_SEPARATORS:\n", "        if False:\n", _PROTOCOL + "test_text_of_more_values_than_any_message_has_is_not_even_parsed"),
    Rule("fields of a body", "server/uploads.py", "    if len(names) > _MAX_FIELDS:\n", "    if False:\n", _GENERATE + "test_json_of_many_or_long_names_is_refused_before_it_is_validated"),
    Rule("names of fields", "server/uploads.py", "    if any(len(name) > _MAX_NAME for name in names):\n", "    if False:\n", _GENERATE + "test_a_form_with_a_long_name_is_refused"),
    Rule("a patch outside the canvas", "server/protocol.py", "    if x + width > canvas_width or y + height > canvas_height:\n", "    if False:\n", _PROTOCOL + "test_bad_labels_are_refused"),
    Rule("an empty patch", "server/protocol.py", "    if width == 0 or height == 0:\n", "    if False:\n", _PROTOCOL + "test_bad_labels_are_refused"),
    Rule("runs past their rectangle", "server/protocol.py", "    if total != size:\n", "    if False:\n", _PROTOCOL + "test_bad_labels_are_refused"),
    Rule("a raw payload's length", "server/protocol.py", "    if len(payload) != size:\n", "    if False:\n", _PROTOCOL + "test_bad_labels_are_refused"),
    Rule("a zip's bomb", "server/sharing/archive.py", "        if sum(entry.file_size for entry in entries) > max_bytes:\n", "        if False:\n", "tests/server/test_project_file.py::test_a_zip_bomb_is_refused_by_what_it_says_and_by_what_it_is"),
    Rule("a zip's list", "server/sharing/archive.py", "    if entries > MOST_ENTRIES or size > ", "    if False and size > ", "tests/server/test_project_file.py::test_a_bomb_of_entries_is_refused_before_they_are_listed"),
    Rule("a zip's names", "server/sharing/archive.py", 'or not _NAME.fullmatch(name) or ".." in name:', "or False:", "tests/server/test_project_file.py::test_names_that_lead_elsewhere_are_refused"),
)  # fmt: skip

NUMBERS = (
    Rule("places in the queue", "server/scheduler.py", "        if len(self._admitted) >= self._places:\n", "        if False:\n", "tests/server/test_scheduler.py::test_places_are_bounded_from_the_door_to_the_answer"),
    Rule("uploads on their way", "server/scheduler.py", "        if self._uploads >= self._max_uploads:\n", "        if False:\n", "tests/server/test_scheduler.py::test_uploads_are_bounded_apart_from_places"),
    Rule("painters", "server/worker.py", "        if self.scheduler.painters >= self._max_painters:\n", "        if False:\n", _LIVE + "test_too_many_painters"),
    Rule("frames not acknowledged", "server/scheduling/mailbox.py", "MAX_UNACKNOWLEDGED: Final = 2", "MAX_UNACKNOWLEDGED: Final = 3", "tests/server/test_scheduler.py::test_at_most_two_frames_are_unacknowledged"),
    Rule("failures that wait", "server/painter.py", "        if self.waiting >= _MOST_WAITING:\n", "        if False:\n", "tests/server/test_painter.py::test_failures_that_nobody_reads_do_not_pile_up"),
    Rule("shared paintings", "server/sharing/store.py", "        if count >= self._limits.count or ", "        if ", "tests/server/sharing/test_store.py::test_limits_of_number_and_bytes_hold_and_what_expired_makes_room"),
    Rule("the token of a share", "server/sharing/store.py", "            if not hmac.compare_digest(share.token_hash, _hash(token)):\n", "            if False:\n", "tests/server/sharing/test_store.py::test_what_is_added_is_found_read_and_removed"),
    Rule("one process", "server/app.py", "    refuse_several_workers(os.environ, sys.argv)\n", "", "tests/server/test_serving.py::test_several_workers_are_refused_at_startup"),
)  # fmt: skip

SAYS_NOTHING = (
    Rule("a fault tells nothing", "server/errors.py", '"An unexpected error stopped this request. ', 'f"{__import__(\'sys\').exc_info()[1]} ', _APP + "test_an_unexpected_error_is_a_500_that_says_nothing"),
    Rule("tracebacks without values", "server/logs.py", ", exception_formatter=structlog.dev.plain_traceback", "", "tests/server/test_serving.py::test_console_logs_show_no_local_variables"),
    Rule("uvicorn's lines", "server/logs.py", "setLevel(max(logging.WARNING, root.level))", "setLevel(root.level)", "tests/server/test_secrets_in_logs.py::test_nothing_secret_is_logged_or_repeated"),
    Rule("errors without what was sent", "server/protocol.py", "include_url=False, include_input=False, include_context=False)[0]\n        where", "include_url=False)[0]\n        first['msg'] += str(first['input'])\n        where", "tests/server/test_secrets_in_logs.py::test_nothing_secret_is_logged_or_repeated"),
)  # fmt: skip

RULES = (*HEADERS, *WHO_MAY_ASK, *TOKENS, *SHARES, *TIME, *SIZES, *NUMBERS, *SAYS_NOTHING)
