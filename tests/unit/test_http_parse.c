/*
 * http_parse: every leniency of llhttp that is refused, events, limits.
 * Input: tables of messages, each fed whole and byte by byte. Output: Check.
 */
#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_parse.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST "Host: a.example\r\n"

enum { TRANSCRIPT_MAX = 1 << 20 };

struct response_row {
    const char *name;
    const char *in;
    enum http_method method;
    bool upgrade;
    bool eof;
    const char *transcript;
};

static void
add_fields(struct buf *out, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        buf_add_fmt(out, "%.*s=%.*s\n", SPAN_FMT(fields->items[i].name),
            SPAN_FMT(fields->items[i].value));
}

static void
add_body(struct buf *out, enum http_body body, uint64_t length)
{
    static const char *const words[] = {"none", "length", "chunked", "close"};

    buf_add_fmt(out, "%s %llu\n", words[body], (unsigned long long)length);
}

static void
add_head(struct buf *out, struct http_parser *p)
{
    const struct http_request *q = http_parser_request(p);
    const struct http_response *r = http_parser_response(p);

    if (q != NULL) {
        buf_add_fmt(out, "%.*s %.*s?%.*s 1.%u authority=%.*s host=%.*s%s%s%s ",
            SPAN_FMT(q->method_text), SPAN_FMT(q->path), SPAN_FMT(q->query),
            q->minor, SPAN_FMT(q->authority), SPAN_FMT(q->host),
            q->keep_alive ? " keep" : "", q->is_upgrade ? " upgrade" : "",
            q->expects_continue ? " expect" : "");
        add_body(out, q->body, q->length);
        add_fields(out, &q->fields);
    } else {
        buf_add_fmt(out, "%u \"%.*s\" 1.%u%s ", r->status, SPAN_FMT(r->reason),
            r->minor, r->keep_alive ? " keep" : "");
        add_body(out, r->body, r->length);
        add_fields(out, &r->fields);
    }
}

struct feeder {
    struct http_parser *parser;
    struct buf out;
    bool in_body;
    bool has_ended; /* a 101's END was there */
};

static void
add_event(struct feeder *f, enum http_event event, struct span data,
    const struct err *err)
{
    if (event == HTTP_EVENT_BODY) {
        if (!f->in_body)
            buf_add_str(&f->out, "body ");
        buf_add(&f->out, data);
    } else if (f->in_body)
        buf_add_byte(&f->out, '\n');
    f->in_body = event == HTTP_EVENT_BODY;
    if (event == HTTP_EVENT_HEAD)
        add_head(&f->out, f->parser);
    if (event == HTTP_EVENT_END) {
        buf_add_str(&f->out, "end\n");
        add_fields(&f->out, http_parser_trailers(f->parser));
    }
    if (event == HTTP_EVENT_ERROR) {
        ck_assert_uint_gt(strlen(err->text), 0);
        buf_add_fmt(&f->out, "error %u\n", http_parser_status(f->parser));
    }
}

/* False: nothing more is to be fed. */
static bool
feed_piece(struct feeder *f, struct span piece)
{
    for (;;) {
        struct err err = {.kind = ERR_NONE};
        struct span data = SPAN_EMPTY;
        size_t eaten = 0;
        enum http_event event =
            http_parser_feed(f->parser, piece, &eaten, &data, &err);
        const struct http_response *r = http_parser_response(f->parser);

        ck_assert_uint_le(eaten, piece.len);
        piece = span_from(piece, eaten);
        if (event == HTTP_EVENT_MORE) {
            ck_assert_uint_eq(piece.len, 0);
            return true;
        }
        add_event(f, event, data, &err);
        if (event == HTTP_EVENT_ERROR)
            return false;
        if (event == HTTP_EVENT_END && r != NULL && r->status == 101)
            return false;
    }
}

static void
feed_all(struct feeder *f, struct span in, size_t step, bool eof)
{
    struct err err = {.kind = ERR_NONE};
    enum http_event event;

    buf_init(&f->out, TRANSCRIPT_MAX);
    for (size_t at = 0; at < in.len; at += step)
        if (!feed_piece(f, span_sub(in, at, step)))
            return;
    if (!eof)
        return;
    event = http_parser_eof(f->parser, &err);
    if (event != HTTP_EVENT_MORE)
        add_event(f, event, SPAN_EMPTY, &err);
}

static char *
transcript(struct http_parser *parser, struct span in, size_t step, bool eof)
{
    struct feeder f = {.parser = parser};
    char *text;

    ck_assert_ptr_nonnull(parser);
    feed_all(&f, in, step, eof);
    text = span_dup(buf_span(&f.out));
    buf_fini(&f.out);
    http_parser_free(parser);
    return text;
}

/* Both ways of feeding; they must agree. New text. */
static char *
request_transcript(struct span in, const struct http_limits *limits)
{
    char *whole =
        transcript(http_parser_new_request(limits), in, in.len, false);
    char *bytes = transcript(http_parser_new_request(limits), in, 1, false);

    ck_assert_str_eq(whole, bytes);
    free(bytes);
    return whole;
}

static struct http_parser *
new_response(const struct response_row *row)
{
    struct http_parser *parser = http_parser_new_response(NULL);

    http_parser_expect(parser, row->method, row->upgrade);
    return parser;
}

/* ---- requests that are refused ------------------------------------------- */

struct refused_row {
    const char *name;
    const char *in;
    unsigned status;
};

#define ROW(name, status, in)                                                  \
    {                                                                          \
        name, in, status                                                       \
    }
#define FIELD(text) "GET / HTTP/1.1\r\n" HOST text "\r\n\r\n"
#define POST(text) "POST / HTTP/1.1\r\n" HOST text
#define CHUNKED(text)                                                          \
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" text

static const struct refused_row refused[] = {
    /* the request line */
    ROW("http09_line", 400, "GET /\r\n\r\n"),
    ROW("http2_line", 505, "GET / HTTP/2.0\r\n" HOST "\r\n"),
    ROW("http2_preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ROW("http12_line", 505, "GET / HTTP/1.2\r\n" HOST "\r\n"),
    ROW("http09_version", 505, "GET / HTTP/0.9\r\n" HOST "\r\n"),
    ROW("version_two_digits", 400, "GET / HTTP/1.10\r\n" HOST "\r\n"),
    ROW("version_lower_case", 400, "GET / http/1.1\r\n" HOST "\r\n"),
    ROW("version_of_rtsp", 400, "GET / RTSP/1.0\r\n" HOST "\r\n"),
    ROW("version_of_ice", 400, "SOURCE / ICE/1.0\r\n" HOST "\r\n"),
    ROW("method_of_rtsp", 501, "SETUP / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_of_ice", 501, "SOURCE / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_unknown", 501, "BREW / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_unknown_to_old_llhttp", 501,
        "QUERY / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_lower_case", 501, "get / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_no_token", 400, "GE(T / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("method_empty", 400, " / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("two_spaces_before_target", 400, "GET  / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("two_spaces_before_version", 400, "GET /  HTTP/1.1\r\n" HOST "\r\n"),
    ROW("space_in_target", 400, "GET /a b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("space_at_line_end", 400, "GET / HTTP/1.1 \r\n" HOST "\r\n"),
    ROW("space_at_line_start", 400, " GET / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("tab_in_line", 400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("three_empty_lines", 400, "\r\n\r\n\r\n" FIELD("A: b")),
    ROW("bare_lf_before_line", 400, "\n" FIELD("A: b")),
    ROW("tls_hello", 400, "\x16\x03\x01\x02"),
    /* the target */
    ROW("connect", 501, "CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("authority_form", 400, "GET a.example:443 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("asterisk_with_get", 400, "GET * HTTP/1.1\r\n" HOST "\r\n"),
    ROW("relative_path", 400, "GET a HTTP/1.1\r\n" HOST "\r\n"),
    ROW("other_scheme", 400, "GET ftp://a.example/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("scheme_without_host", 400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n"),
    ROW("userinfo_in_target", 400,
        "GET http://u@a.example/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("absolute_form_with_bad_host", 400,
        "GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ROW("absolute_form_without_host", 400,
        "GET http://a.example/ HTTP/1.1\r\n\r\n"),
    ROW("absolute_form_with_backslash", 400,
        "GET http://a.example\\@b/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("fragment", 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("raw_utf8_in_target", 400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("backslash_in_path", 400, "GET /a\\b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("nul_escape_in_path", 400, "GET /a%00 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("bad_escape_in_path", 400, "GET /a%zz HTTP/1.1\r\n" HOST "\r\n"),
    ROW("cut_escape_in_path", 400, "GET /a%2 HTTP/1.1\r\n" HOST "\r\n"),
    /* Host */
    ROW("no_host", 400, "GET / HTTP/1.1\r\n\r\n"),
    ROW("two_hosts", 400, FIELD("Host: b.example")),
    ROW("two_equal_hosts", 400, FIELD("Host: a.example")),
    ROW("two_hosts_in_http10", 400,
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    ROW("empty_host", 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ROW("userinfo_in_host", 400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ROW("path_in_host", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ROW("list_in_host", 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ROW("space_in_host", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ROW("escape_in_host", 400, "GET / HTTP/1.1\r\nHost: a%41\r\n\r\n"),
    ROW("empty_label_in_host", 400, "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"),
    ROW("dot_as_host", 400, "GET / HTTP/1.1\r\nHost: .\r\n\r\n"),
    ROW("port_too_large", 400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    ROW("port_zero", 400, "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n"),
    ROW("port_empty", 400, "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
    ROW("port_no_number", 400, "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"),
    ROW("port_alone", 400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    ROW("two_ports", 400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
    ROW("ipv6_without_brackets", 400, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"),
    ROW("ipv6_unclosed", 400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    ROW("ipv6_wrong", 400, "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"),
    ROW("ipv6_with_zone", 400, "GET / HTTP/1.1\r\nHost: [fe80::1%1]\r\n\r\n"),
    ROW("ipv6_with_tail", 400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
    /* fields */
    ROW("obs_fold", 400, FIELD("A: b\r\n c")),
    ROW("obs_fold_with_tab", 400, FIELD("A: b\r\n\tc")),
    ROW("fold_of_start_line", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ROW("space_before_colon", 400, FIELD("A : b")),
    ROW("tab_before_colon", 400, FIELD("A\t: b")),
    ROW("space_in_name", 400, FIELD("A b: c")),
    ROW("empty_name", 400, FIELD(": b")),
    ROW("no_colon", 400, FIELD("Abc")),
    ROW("name_no_token", 400, FIELD("A(b): c")),
    ROW("name_of_high_bytes", 400, FIELD("\xe4: c")),
    ROW("bare_lf_after_line", 400, "GET / HTTP/1.1\n" HOST "\r\n"),
    ROW("bare_lf_after_field", 400, FIELD("A: b\nC: d")),
    ROW("bare_lf_at_head_end", 400, "GET / HTTP/1.1\r\n" HOST "\n"),
    ROW("bare_cr_in_value", 400, FIELD("A: b\rC: d")),
    ROW("bare_cr_at_head_end", 400, "GET / HTTP/1.1\r\n" HOST "\r\rX"),
    ROW("two_cr_before_lf", 400, FIELD("A: b\r")),
    ROW("control_byte_in_value", 400, FIELD("A: b\x01")),
    ROW("delete_byte_in_value", 400, FIELD("A: b\x7f")),
    /* framing */
    ROW("length_and_chunked", 400,
        POST("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")),
    ROW("chunked_and_length", 400,
        POST("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n")),
    ROW("two_lengths", 400,
        POST("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc")),
    ROW("two_equal_lengths", 400,
        POST("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")),
    ROW("length_list", 400, POST("Content-Length: 3, 3\r\n\r\nabc")),
    ROW("length_with_plus", 400, POST("Content-Length: +3\r\n\r\nabc")),
    ROW("length_with_minus", 400, POST("Content-Length: -3\r\n\r\nabc")),
    ROW("length_with_space", 400, POST("Content-Length: 3 3\r\n\r\nabc")),
    ROW("length_hex", 400, POST("Content-Length: 0x3\r\n\r\nabc")),
    ROW("length_empty", 400, POST("Content-Length:\r\n\r\n")),
    ROW("length_overflow", 400,
        POST("Content-Length: 18446744073709551617\r\n\r\n")),
    ROW("length_above_int64", 400,
        POST("Content-Length: 9223372036854775808\r\n\r\n")),
    ROW("coding_in_http10", 400,
        "POST / HTTP/1.0\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW("coding_gzip_chunked", 400,
        POST("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
    ROW("coding_gzip", 400, POST("Transfer-Encoding: gzip\r\n\r\n")),
    ROW("coding_chunked_gzip", 400,
        POST("Transfer-Encoding: chunked, gzip\r\n\r\n")),
    ROW("coding_chunked_twice", 400,
        POST("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
    ROW("two_codings", 400,
        POST("Transfer-Encoding: chunked\r\n"
             "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    ROW("coding_xchunked", 400, POST("Transfer-Encoding: xchunked\r\n\r\n")),
    ROW("coding_identity", 400, POST("Transfer-Encoding: identity\r\n\r\n")),
    ROW("coding_empty", 400, POST("Transfer-Encoding:\r\n\r\n")),
    ROW("coding_quoted", 400, POST("Transfer-Encoding: \"chunked\"\r\n\r\n")),
    ROW("coding_with_parameter", 400,
        POST("Transfer-Encoding: chunked;a=b\r\n\r\n")),
};

/* What was parsed before the error is no matter here; these end in it. */
static const struct refused_row refused_bodies[] = {
    ROW("chunk_size_overflow", 400, CHUNKED("10000000000000000\r\n")),
    ROW("chunk_size_above_int64", 400, CHUNKED("8000000000000000\r\n")),
    ROW("chunk_size_zeros", 400, CHUNKED("00000000000000003\r\nabc\r\n")),
    ROW("chunk_size_empty", 400, CHUNKED("\r\nabc\r\n")),
    ROW("chunk_size_0x", 400, CHUNKED("0x3\r\nabc\r\n")),
    ROW("chunk_size_plus", 400, CHUNKED("+3\r\nabc\r\n")),
    ROW("chunk_size_minus", 400, CHUNKED("-3\r\nabc\r\n")),
    ROW("chunk_size_space_before", 400, CHUNKED(" 3\r\nabc\r\n")),
    ROW("chunk_size_space_behind", 400, CHUNKED("3 \r\nabc\r\n")),
    ROW("chunk_size_bare_lf", 400, CHUNKED("3\nabc\r\n")),
    ROW("chunk_size_bare_cr", 400, CHUNKED("3\rabc\r\n")),
    ROW("chunk_extension_without_size", 400, CHUNKED(";a\r\nabc\r\n")),
    ROW("chunk_extension_bare_lf", 400, CHUNKED("3;a\nabc\r\n")),
    ROW("chunk_extension_control", 400, CHUNKED("3;a\x01\r\nabc\r\n")),
    ROW("chunk_too_long", 400, CHUNKED("3\r\nabcd\r\n0\r\n\r\n")),
    ROW("chunk_too_short", 400, CHUNKED("3\r\nab\r\n0\r\n\r\n")),
    ROW("chunk_end_bare_lf", 400, CHUNKED("3\r\nabc\n0\r\n\r\n")),
    ROW("chunk_end_bare_cr", 400, CHUNKED("3\r\nabc\r0\r\n\r\n")),
    ROW("trailer_fold", 400, CHUNKED("0\r\nA: b\r\n c\r\n\r\n")),
    ROW("trailer_bare_lf", 400, CHUNKED("0\r\nA: b\n\r\n")),
    ROW("trailer_end_bare_lf", 400, CHUNKED("0\r\n\n")),
    ROW("trailer_space_before_colon", 400, CHUNKED("0\r\nA : b\r\n\r\n")),
    ROW("trailer_length", 400, CHUNKED("0\r\nContent-Length: 3\r\n\r\n")),
    ROW("trailer_coding", 400,
        CHUNKED("0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    ROW("trailer_host", 400, CHUNKED("0\r\nHost: b\r\n\r\n")),
    ROW("second_request_bad", 400,
        POST("Content-Length: 3\r\n\r\nabcd") "GET / HTTP/1.1\n"),
};

enum {
    REFUSED = sizeof(refused) / sizeof(refused[0]),
    REFUSED_BODIES = sizeof(refused_bodies) / sizeof(refused_bodies[0])
};

START_TEST(refuses_request)
{
    const struct refused_row *row = &refused[_i];
    char *text = request_transcript(span_str(row->in), NULL);
    char wanted[32];

    (void)snprintf(wanted, sizeof(wanted), "error %u\n", row->status);
    ck_assert_msg(strcmp(text, wanted) == 0, "%s: %s", row->name, text);
    free(text);
}
END_TEST

START_TEST(refuses_body)
{
    const struct refused_row *row = &refused_bodies[_i];
    char *text = request_transcript(span_str(row->in), NULL);
    char wanted[32];

    (void)snprintf(wanted, sizeof(wanted), "error %u\n", row->status);
    ck_assert_msg(
        span_ends(span_str(text), span_str(wanted)), "%s: %s", row->name, text);
    free(text);
}
END_TEST

START_TEST(refuses_nul_anywhere_in_head)
{
    static const char head[] = "GET /a HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";

    for (size_t at = 0; at < sizeof(head) - 1; at++) {
        char copy[sizeof(head)];
        char *text;

        memcpy(copy, head, sizeof(head));
        copy[at] = 0;
        text = request_transcript(span_make(copy, sizeof(head) - 1), NULL);
        ck_assert_msg(strcmp(text, "error 400\n") == 0, "%zu: %s", at, text);
        free(text);
    }
}
END_TEST

/* ---- requests that pass -------------------------------------------------- */

static const struct {
    const char *name;
    const char *in;
    const char *transcript;
} accepted[] = {
    {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"},
    {"path_and_query", "GET /a/%7eb/../c?x=../%2e HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/c?x=../%2e 1.1 authority=a host=a keep none 0\n"
        "Host=a\nend\n"},
    {"host_normal_form",
        "GET / HTTP/1.1\r\nHost: WWW.Example.ORG.:8443\r\n\r\n",
        "GET /? 1.1 authority=WWW.Example.ORG.:8443 host=www.example.org keep "
        "none 0\nHost=WWW.Example.ORG.:8443\nend\n"},
    {"host_ipv6", "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n",
        "GET /? 1.1 authority=[2001:DB8::1]:443 host=2001:db8::1 keep none 0\n"
        "Host=[2001:DB8::1]:443\nend\n"},
    {"absolute_form_wins",
        "GET HTTP://b.example:81?q HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?q 1.1 authority=b.example:81 host=b.example keep none 0\n"
        "Host=a\nend\n"},
    {"asterisk_with_options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS *? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"},
    {"extension_method", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PROPFIND /? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"},
    {"http10_without_host", "GET / HTTP/1.0\r\n\r\n",
        "GET /? 1.0 authority= host= none 0\nend\n"},
    {"http10_keep_alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET /? 1.0 authority= host= keep none 0\n"
        "Connection=Keep-Alive\nend\n"},
    {"close_in_list",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
        "GET /? 1.1 authority=a host=a none 0\n"
        "Host=a\nConnection=x, CLOSE\nend\n"},
    {"odd_fields",
        "GET / HTTP/1.1\r\nHost:a\r\nX_y:\r\nE: \t \r\nV:\t a  b \t\r\n"
        "H: \xc3\xa4\r\n\r\n",
        "GET /? 1.1 authority=a host=a keep none 0\nHost=a\nX_y=\nE=\n"
        "V=a  b\nH=\xc3\xa4\nend\n"},
    {"two_empty_lines_first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"},
    {"length_body",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /? 1.1 authority=a host=a keep length 5\nHost=a\n"
        "Content-Length=5\nbody hello\nend\n"},
    {"length_zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /? 1.1 authority=a host=a keep length 0\nHost=a\n"
        "Content-Length=0\nend\n"},
    {"get_with_body",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "GET /? 1.1 authority=a host=a keep length 2\nHost=a\n"
        "Content-Length=2\nbody hi\nend\n"},
    {"expect",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
        "Content-Length: 1\r\n\r\nx",
        "POST /? 1.1 authority=a host=a keep expect length 1\nHost=a\n"
        "Expect=100-Continue\nContent-Length=1\nbody x\nend\n"},
    {"chunked_with_extension_and_trailer",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "3;a=\"b;c\"\r\nabc\r\nA;\r\n0123456789\r\n000;x\r\nT: "
        "u\r\nV:w\r\n\r\n",
        "POST /? 1.1 authority=a host=a keep chunked 0\nHost=a\n"
        "Transfer-Encoding=Chunked\nbody abc0123456789\nend\nT=u\nV=w\n"},
    {"websocket_upgrade",
        "GET /c HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
        "Upgrade: websocket\r\n\r\n",
        "GET /c? 1.1 authority=a host=a keep upgrade none 0\nHost=a\n"
        "Connection=keep-alive, Upgrade\nUpgrade=websocket\nend\n"},
    {"other_upgrade_does_not_stop_the_parser",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
        "Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /? 1.1 authority=a host=a keep upgrade length 2\nHost=a\n"
        "Connection=upgrade\nUpgrade=h2c\nContent-Length=2\nbody hi\nend\n"
        "GET /b? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"},
    {"upgrade_in_http10_is_none",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /? 1.0 authority= host= none 0\nConnection=upgrade\n"
        "Upgrade=websocket\nend\n"},
    {"pipelining",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /2 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
        "GET /3 HTTP/1.0\r\n\r\n",
        "GET /1? 1.1 authority=a host=a keep none 0\nHost=a\nend\n"
        "GET /2? 1.1 authority=b host=b none 0\nHost=b\n"
        "Connection=close\nend\n"
        "GET /3? 1.0 authority= host= none 0\nend\n"},
};
enum { ACCEPTED = sizeof(accepted) / sizeof(accepted[0]) };

START_TEST(accepts_request)
{
    char *text = request_transcript(span_str(accepted[_i].in), NULL);

    ck_assert_msg(strcmp(text, accepted[_i].transcript) == 0, "%s: %s",
        accepted[_i].name, text);
    free(text);
}
END_TEST

START_TEST(accepts_every_listed_method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE",
        "OPTIONS", "PATCH", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE",
        "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND",
        "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "MKCALENDAR",
        "LINK", "UNLINK"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char in[64];
        char *text;

        (void)snprintf(
            in, sizeof(in), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", names[i]);
        text = request_transcript(span_str(in), NULL);
        ck_assert_msg(
            span_ends(span_str(text), SPAN_LIT("end\n")), "%s", names[i]);
        free(text);
    }
}
END_TEST

/* ---- limits -------------------------------------------------------------- */

static const struct http_limits small = {
    .head_max = 200, .field_max = 3, .target_max = 20};

static void
expect_small(struct buf *in, const char *end)
{
    char *text = request_transcript(buf_span(in), &small);

    ck_assert_msg(span_ends(span_str(text), span_str(end)), "%s", text);
    free(text);
    buf_fini(in);
}

static void
target_of(size_t len, const char *end)
{
    struct buf in;

    buf_init(&in, TRANSCRIPT_MAX);
    buf_add_str(&in, "GET /");
    for (size_t i = 1; i < len; i++)
        buf_add_byte(&in, 'a');
    buf_add_str(&in, " HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_small(&in, end);
}

START_TEST(target_limit)
{
    target_of(20, "end\n");
    target_of(21, "error 414\n");
    target_of(60, "error 414\n");
    target_of(5000, "error 414\n");
}
END_TEST

/* A head of exactly that many bytes. */
static void
head_of(size_t len, const char *end)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nB: ";
    struct buf in;

    buf_init(&in, TRANSCRIPT_MAX);
    buf_add_str(&in, start);
    while (in.len < len - 4)
        buf_add_byte(&in, 'b');
    buf_add_str(&in, "\r\n\r\n");
    expect_small(&in, end);
}

START_TEST(head_limit)
{
    head_of(200, "end\n");
    head_of(201, "error 431\n");
    head_of(5000, "error 431\n");
}
END_TEST

static void
fields_of(size_t count, const char *end)
{
    struct buf in;

    buf_init(&in, TRANSCRIPT_MAX);
    buf_add_str(&in, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 1; i < count; i++)
        buf_add_str(&in, "B: c\r\n");
    buf_add_str(&in, "\r\n");
    expect_small(&in, end);
}

START_TEST(field_limit)
{
    fields_of(3, "end\n");
    fields_of(4, "error 431\n");
}
END_TEST

static void
extension_of(size_t len, const char *end)
{
    struct buf in;

    buf_init(&in, TRANSCRIPT_MAX);
    buf_add_str(&in,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1");
    for (size_t i = 0; i < len; i++)
        buf_add_byte(&in, ';');
    buf_add_str(&in, "\r\nx\r\n0\r\n\r\n");
    expect_small(&in, end);
}

START_TEST(extensions_are_bounded)
{
    extension_of(1024, "end\n");
    extension_of(1025, "error 400\n");
}
END_TEST

START_TEST(trailers_are_bounded)
{
    struct buf in;

    buf_init(&in, TRANSCRIPT_MAX);
    buf_add_str(&in,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        "A: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n");
    expect_small(&in, "error 431\n");
}
END_TEST

/* ---- responses ----------------------------------------------------------- */

static const struct response_row responses[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", HTTP_GET,
        false, false,
        "200 \"OK\" 1.1 keep length 2\nContent-Length=2\nbody hi\nend\n"},
    {"no_reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP_GET, false,
        false, "200 \"\" 1.1 keep length 0\nContent-Length=0\nend\n"},
    {"chunked_and_trailer",
        "HTTP/1.1 200 All is well\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nhi\r\n0\r\nA: b\r\n\r\n",
        HTTP_GET, false, false,
        "200 \"All is well\" 1.1 keep chunked 0\nTransfer-Encoding=chunked\n"
        "body hi\nend\nA=b\n"},
    {"until_close", "HTTP/1.1 200 OK\r\n\r\nhi there", HTTP_GET, false, true,
        "200 \"OK\" 1.1 close 0\nbody hi there\nend\n"},
    {"until_close_empty", "HTTP/1.0 200 OK\r\n\r\n", HTTP_GET, false, true,
        "200 \"OK\" 1.0 close 0\nend\n"},
    {"eof_in_body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", HTTP_GET,
        false, true,
        "200 \"OK\" 1.1 keep length 3\nContent-Length=3\nbody hi\n"
        "error 400\n"},
    {"eof_in_chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        HTTP_GET, false, true,
        "200 \"OK\" 1.1 keep chunked 0\nTransfer-Encoding=chunked\n"
        "body hi\nerror 400\n"},
    {"eof_in_head", "HTTP/1.1 200 OK\r\nA", HTTP_GET, false, true,
        "error 400\n"},
    {"eof_between_messages", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        HTTP_GET, false, true,
        "200 \"OK\" 1.1 keep length 0\nContent-Length=0\nend\n"},
    {"to_head", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", HTTP_HEAD,
        false, false, "200 \"OK\" 1.1 keep none 20\nContent-Length=20\nend\n"},
    {"to_head_chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        HTTP_HEAD, false, false,
        "200 \"OK\" 1.1 keep none 0\nTransfer-Encoding=chunked\nend\n"},
    {"not_modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        HTTP_GET, false, false,
        "304 \"Not Modified\" 1.1 keep none 9\nContent-Length=9\nend\n"},
    {"no_content", "HTTP/1.1 204 No Content\r\n\r\n", HTTP_GET, false, false,
        "204 \"No Content\" 1.1 keep none 0\nend\n"},
    {"no_content_length_0",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_GET, false,
        false, "204 \"No Content\" 1.1 keep none 0\nContent-Length=0\nend\n"},
    {"no_content_with_body",
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", HTTP_GET,
        false, false, "error 400\n"},
    {"no_content_chunked",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        HTTP_GET, false, false, "error 400\n"},
    {"interim_then_final",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        HTTP_POST, false, false,
        "100 \"Continue\" 1.1 keep none 0\nend\n"
        "103 \"Early Hints\" 1.1 keep none 0\nLink=x\nend\n"
        "200 \"OK\" 1.1 keep length 1\nContent-Length=1\nbody x\nend\n"},
    {"interim_with_length",
        "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n", HTTP_POST, false,
        false, "error 400\n"},
    {"switching_expected",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\n\r\n\x81\x02hi",
        HTTP_GET, true, false,
        "101 \"Switching Protocols\" 1.1 keep none 0\nConnection=Upgrade\n"
        "Upgrade=websocket\nend\n"},
    {"switching_not_expected",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\n\r\n",
        HTTP_GET, false, false, "error 400\n"},
    {"upgrade_refused",
        "HTTP/1.1 403 No\r\nConnection: upgrade\r\nUpgrade: x\r\n"
        "Content-Length: 2\r\n\r\nno",
        HTTP_GET, true, false,
        "403 \"No\" 1.1 keep length 2\nConnection=upgrade\nUpgrade=x\n"
        "Content-Length=2\nbody no\nend\n"},
    {"two_responses",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
        HTTP_GET, false, false,
        "200 \"OK\" 1.1 keep length 1\nContent-Length=1\nbody x\nend\n"
        "200 \"OK\" 1.1 keep length 1\nContent-Length=1\nbody y\nend\n"},
    {"length_and_chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
        "\r\n\r\n",
        HTTP_GET, false, false, "error 400\n"},
    {"two_equal_lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        HTTP_GET, false, false, "error 400\n"},
    {"coding_gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        HTTP_GET, false, false, "error 400\n"},
    {"coding_in_http10",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET,
        false, false, "error 400\n"},
    {"obs_fold", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HTTP_GET, false,
        false, "error 400\n"},
    {"empty_line_first", "\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"status_099", "HTTP/1.1 099 X\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"status_600", "HTTP/1.1 600 X\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"status_two_digits", "HTTP/1.1 20 OK!\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"status_four_digits", "HTTP/1.1 2000 OK\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"two_spaces", "HTTP/1.1  200 OK\r\n\r\n", HTTP_GET, false, false,
        "error 400\n"},
    {"http2", "HTTP/2.0 200 OK\r\n\r\n", HTTP_GET, false, false, "error 505\n"},
    {"no_http", "ICY 200 OK!!\r\n\r\n", HTTP_GET, false, false, "error 400\n"},
    {"bare_lf", "HTTP/1.1 200 OK\n\n", HTTP_GET, false, false, "error 400\n"},
};
enum { RESPONSES = sizeof(responses) / sizeof(responses[0]) };

START_TEST(reads_response)
{
    const struct response_row *row = &responses[_i];
    struct span in = span_str(row->in);
    char *whole = transcript(new_response(row), in, in.len, row->eof);
    char *bytes = transcript(new_response(row), in, 1, row->eof);

    ck_assert_str_eq(whole, bytes);
    ck_assert_msg(
        strcmp(whole, row->transcript) == 0, "%s: %s", row->name, whole);
    free(whole);
    free(bytes);
}
END_TEST

/* ---- how it stops -------------------------------------------------------- */

START_TEST(leaves_bytes_behind_a_message_alone)
{
    struct http_parser *p = http_parser_new_request(NULL);
    struct span in = SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n\x81\x80");
    struct span data;
    size_t eaten = 0;

    ck_assert(!http_parser_in_message(p));
    ck_assert_int_eq(
        http_parser_feed(p, in, &eaten, &data, NULL), HTTP_EVENT_HEAD);
    ck_assert_uint_eq(eaten, in.len - 2);
    ck_assert(http_parser_in_message(p));
    in = span_from(in, eaten);
    ck_assert_int_eq(
        http_parser_feed(p, in, &eaten, &data, NULL), HTTP_EVENT_END);
    ck_assert_uint_eq(eaten, 0);
    ck_assert(!http_parser_in_message(p));
    http_parser_free(p);
}
END_TEST

START_TEST(error_stays)
{
    struct http_parser *p = http_parser_new_request(NULL);
    struct span data;
    size_t eaten = 0;

    ck_assert_int_eq(http_parser_feed(p, SPAN_LIT("\n"), &eaten, &data, NULL),
        HTTP_EVENT_ERROR);
    ck_assert_int_eq(http_parser_feed(p, SPAN_LIT("GET / HTTP/1.1\r\n"), &eaten,
                         &data, NULL),
        HTTP_EVENT_ERROR);
    ck_assert_int_eq(http_parser_eof(p, NULL), HTTP_EVENT_ERROR);
    ck_assert_uint_eq(http_parser_status(p), 400);
    http_parser_free(p);
}
END_TEST

START_TEST(empty_lines_are_no_message)
{
    struct http_parser *p = http_parser_new_request(NULL);
    struct span data;
    size_t eaten = 0;

    ck_assert_int_eq(
        http_parser_feed(p, SPAN_LIT("\r\n\r"), &eaten, &data, NULL),
        HTTP_EVENT_MORE);
    ck_assert(!http_parser_in_message(p));
    ck_assert_int_eq(http_parser_eof(p, NULL), HTTP_EVENT_MORE);
    ck_assert_int_eq(http_parser_feed(p, SPAN_LIT("\nG"), &eaten, &data, NULL),
        HTTP_EVENT_MORE);
    ck_assert(http_parser_in_message(p));
    ck_assert_int_eq(http_parser_eof(p, NULL), HTTP_EVENT_ERROR);
    http_parser_free(p);
}
END_TEST

START_TEST(tunnel_bytes_are_not_eaten)
{
    static const char head[] = "HTTP/1.1 101 X\r\n\r\nGET";
    struct http_parser *p = http_parser_new_response(NULL);
    struct span in = span_str(head);
    struct span data;
    size_t eaten = 0;

    http_parser_expect(p, HTTP_GET, true);
    ck_assert_int_eq(
        http_parser_feed(p, in, &eaten, &data, NULL), HTTP_EVENT_HEAD);
    in = span_from(in, eaten);
    ck_assert_int_eq(
        http_parser_feed(p, in, &eaten, &data, NULL), HTTP_EVENT_END);
    ck_assert_uint_eq(eaten, 0);
    ck_assert_uint_eq(in.len, 3);
    http_parser_free(p);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("http_parse");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, refuses_request, 0, REFUSED);
    tcase_add_loop_test(tc, refuses_body, 0, REFUSED_BODIES);
    tcase_add_loop_test(tc, accepts_request, 0, ACCEPTED);
    tcase_add_loop_test(tc, reads_response, 0, RESPONSES);
    tcase_add_test(tc, refuses_nul_anywhere_in_head);
    tcase_add_test(tc, accepts_every_listed_method);
    tcase_add_test(tc, target_limit);
    tcase_add_test(tc, head_limit);
    tcase_add_test(tc, field_limit);
    tcase_add_test(tc, extensions_are_bounded);
    tcase_add_test(tc, trailers_are_bounded);
    tcase_add_test(tc, leaves_bytes_behind_a_message_alone);
    tcase_add_test(tc, error_stays);
    tcase_add_test(tc, empty_lines_are_no_message);
    tcase_add_test(tc, tunnel_bytes_are_not_eaten);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
