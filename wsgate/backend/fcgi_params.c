/*
 * A request as the CGI variables of a FastCGI application.
 * Input: the client's request, the location's configuration.
 * Output: name-value pairs as they stand in PARAMS records.
 */
#include "wsgate/backend/fcgi_params.h"

#include "wsgate/backend/fcgi_record.h"
#include "wsgate/http/http_write.h"
#include "wsgate/http/url_path.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { SCRIPT_NAME_MAX = 4096 /* PATH_MAX: no file has a longer name */ };

/* ---- which script -------------------------------------------------------- */

void
fcgi_script_fini(struct fcgi_script *script)
{
    buf_fini(&script->name);
    buf_fini(&script->info);
}

/* ".php" of "index.php"; empty without a dot. */
static struct span
extension_of(const char *index)
{
    const char *dot = strrchr(index, '.');

    return dot == NULL ? SPAN_EMPTY : span_str(dot);
}

static const char *
index_of(const struct gate_fastcgi *config)
{
    return config->index == NULL ? "index.php" : config->index;
}

/* Length of the path up to the end of its first segment with that ending; 0:
 * there is none. "/.php" is a hidden file, no script. */
static size_t
script_len(struct span path, struct span extension)
{
    size_t at = 1;

    while (extension.len > 0 && at < path.len) {
        struct span left = span_from(path, at);
        struct span segment = span_sub(left, 0, span_find(left, '/'));

        if (segment.len > extension.len && span_ends(segment, extension))
            return at + segment.len;
        at += segment.len + 1;
    }
    return 0;
}

/* With a fixed script PATH_INFO is what follows the location's prefix. One
 * that cannot be written without ambiguity ("%2F") is left out: REQUEST_URI
 * has it all. */
static bool
find_fixed(const char *script, struct span prefix, struct span path,
    struct fcgi_script *out)
{
    struct span rest = path;

    if (span_starts(path, prefix))
        rest = span_from(path, prefix.len);
    if (prefix.len > 0 && prefix.data[prefix.len - 1] == '/')
        rest = span_from(path, prefix.len - 1);
    if (rest.len == 0 || rest.data[0] != '/' ||
        !url_path_decode(rest, &out->info, NULL))
        buf_clear(&out->info);
    return (script[0] == '/' || buf_add_byte(&out->name, '/')) &&
           buf_add_str(&out->name, script);
}

static bool
find_in_path(const struct gate_fastcgi *config, struct span path,
    struct fcgi_script *out, struct err *err)
{
    struct span index = span_str(index_of(config));
    size_t len = script_len(path, extension_of(index_of(config)));

    if (len == 0)
        len = path.len;
    if (!url_path_decode(span_sub(path, 0, len), &out->name, err))
        return false;
    if (len < path.len)
        return url_path_decode(span_from(path, len), &out->info, err);
    if (span_ends(path, SPAN_LIT("/")) && !buf_add(&out->name, index))
        return err_set(err, ERR_REJECTED, "path is too long");
    return true;
}

bool
fcgi_script_find(const struct gate_location *location, struct span path,
    struct fcgi_script *out, struct err *err)
{
    const struct gate_fastcgi *config = &location->fastcgi;
    struct err why;
    bool ok;

    buf_init(&out->name, SCRIPT_NAME_MAX);
    buf_init(&out->info, path.len);
    if (config->script != NULL)
        ok = find_fixed(config->script, span_str(location->prefix), path, out);
    else
        ok = find_in_path(config, path, out, &why);
    if (ok && buf_span(&out->name).len > 0 && out->name.data[0] == '/')
        return true;
    fcgi_script_fini(out);
    return err_set(err, ERR_REJECTED, "path names no script");
}

bool
fcgi_script_is_trap(const char *root, struct fcgi_script *script)
{
    struct span name = buf_span(&script->name);
    struct buf path;
    struct stat st;
    bool is_trap = false;

    buf_init(&path, 2 * SCRIPT_NAME_MAX);
    for (size_t at = 1; !is_trap && at < name.len; at++) {
        struct span before = span_sub(name, 0, at);

        if (name.data[at] != '/' || span_find(before, '.') == before.len)
            continue;
        buf_clear(&path);
        is_trap = buf_add_str(&path, root) && buf_add(&path, before) &&
                  stat(buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode);
    }
    buf_fini(&path);
    return is_trap;
}

/* ---- variables ----------------------------------------------------------- */

static bool
add(struct buf *out, const char *name, struct span value)
{
    return fcgi_write_pair(out, span_str(name), value);
}

static bool
add_str(struct buf *out, const char *name, const char *value)
{
    return add(out, name, span_str(value));
}

static bool
add_number(struct buf *out, const char *name, uint64_t value)
{
    struct buf text;
    bool ok;

    buf_init(&text, 24);
    ok = buf_add_fmt(&text, "%llu", (unsigned long long)value) &&
         add(out, name, buf_span(&text));
    buf_fini(&text);
    return ok;
}

/* The value is two parts joined. */
static bool
add_joined(struct buf *out, const char *name, struct span a, const char *glue,
    struct span b)
{
    struct buf text;
    bool ok;

    buf_init(&text, FCGI_PARAMS_MAX);
    ok = buf_add(&text, a) && buf_add_str(&text, glue) && buf_add(&text, b) &&
         add(out, name, buf_span(&text));
    buf_fini(&text);
    return ok;
}

static struct span
root_of(const struct backend_request *request)
{
    struct span root = span_str(request->location->fastcgi.root);

    while (span_ends(root, SPAN_LIT("/")))
        root.len--;
    return root;
}

static bool
add_script(struct buf *out, const struct backend_request *request,
    struct fcgi_script *script)
{
    struct span name = buf_span(&script->name);
    struct span info = buf_span(&script->info);

    return add_joined(out, "SCRIPT_FILENAME", root_of(request), "", name) &&
           add(out, "SCRIPT_NAME", name) && add(out, "DOCUMENT_URI", name) &&
           add(out, "DOCUMENT_ROOT", root_of(request)) &&
           (info.len == 0 || add(out, "PATH_INFO", info));
}

static bool
add_request(
    struct buf *out, const struct http_request *head, uint64_t content_len)
{
    struct span type = http_field_value(&head->fields, "Content-Type");

    return add(out, "REQUEST_METHOD", head->method_text) &&
           add_joined(out, "REQUEST_URI", head->path,
               head->query.data == NULL ? "" : "?", head->query) &&
           add(out, "QUERY_STRING", head->query) &&
           add_number(out, "CONTENT_LENGTH", content_len) &&
           (type.len == 0 || add(out, "CONTENT_TYPE", type)) &&
           add_str(out, "SERVER_PROTOCOL",
               head->minor == 0 ? "HTTP/1.0" : "HTTP/1.1");
}

/* RFC 3875 4.1.14: an IPv6 literal stands in brackets. */
static bool
add_server(struct buf *out, const struct http_request *head,
    const struct http_peer *peer)
{
    bool is_v6 = span_find(head->host, ':') < head->host.len;
    struct buf name;
    bool ok;

    buf_init(&name, head->host.len + 2);
    ok = (!is_v6 || buf_add_byte(&name, '[')) && buf_add(&name, head->host) &&
         (!is_v6 || buf_add_byte(&name, ']')) &&
         add(out, "SERVER_NAME", buf_span(&name));
    buf_fini(&name);
    return ok && add_number(out, "SERVER_PORT", peer->port) &&
           add_str(out, "SERVER_SOFTWARE", "wsgate") &&
           add_str(out, "GATEWAY_INTERFACE", "CGI/1.1") &&
           add_str(out, "REQUEST_SCHEME", peer->is_tls ? "https" : "http") &&
           (!peer->is_tls || add_str(out, "HTTPS", "on")) &&
           add_str(out, "REMOTE_ADDR", peer->client) &&
           /* PHP built with force-cgi-redirect wants to see it. */
           add_str(out, "REDIRECT_STATUS", "200");
}

/* ---- HTTP_* -------------------------------------------------------------- */

/*
 * Only letters, digits and "-" make a variable: "_" would let a client shadow
 * another field (Host_X and Host-X are one variable). Proxy is never passed,
 * it would become HTTP_PROXY, which programs take for a setting (httpoxy).
 */
static bool
is_passed(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return !span_ieq(name, SPAN_LIT("Proxy")) &&
           !span_ieq(name, SPAN_LIT("Content-Type"));
}

static bool
is_first(const struct http_fields *fields, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (span_ieq(fields->items[i].name, fields->items[at].name))
            return false;
    return true;
}

static bool
write_name(struct buf *out, struct span name)
{
    bool ok = buf_add_str(out, "HTTP_");

    for (size_t i = 0; ok && i < name.len; i++) {
        unsigned char c = name.data[i];

        if (c >= 'a' && c <= 'z')
            c = (unsigned char)(c - 'a' + 'A');
        ok = buf_add_byte(out, c == '-' ? '_' : c);
    }
    return ok;
}

/* All fields of that name as one value (RFC 3875 4.1.18); cookies are joined
 * by ";" (RFC 6265 5.4). */
static bool
write_value(struct buf *out, const struct http_fields *fields, size_t at)
{
    struct span name = fields->items[at].name;
    bool is_cookie = span_ieq(name, SPAN_LIT("Cookie"));
    bool ok = buf_add(out, fields->items[at].value);

    for (size_t i = at + 1; ok && i < fields->count; i++)
        if (span_ieq(fields->items[i].name, name))
            ok = buf_add_str(out, is_cookie ? "; " : ", ") &&
                 buf_add(out, fields->items[i].value);
    return ok;
}

static bool
add_field(struct buf *out, const struct http_fields *fields, size_t at)
{
    struct buf name;
    struct buf value;
    bool ok;

    buf_init(&name, FCGI_PARAMS_MAX);
    buf_init(&value, FCGI_PARAMS_MAX);
    ok = write_name(&name, fields->items[at].name) &&
         write_value(&value, fields, at) &&
         fcgi_write_pair(out, buf_span(&name), buf_span(&value));
    buf_fini(&name);
    buf_fini(&value);
    return ok;
}

/* The lines behind the first of a head that http_write_request() wrote. */
static bool
read_fields(struct span text, struct http_fields *fields)
{
    struct span line;
    bool ok = span_split(&text, '\n', &line);

    while (ok && span_split(&text, '\n', &line) && line.len > 1) {
        size_t colon = span_find(line, ':');

        line.len--; /* CR */
        ok = http_fields_add(fields, span_sub(line, 0, colon),
            span_trim(span_from(line, colon + 1)));
    }
    return ok;
}

/*
 * A FastCGI application gets the very fields an HTTP server would get: the
 * rules of what is passed, left out and set stand in http_write alone.
 */
static bool
add_fields(struct buf *out, const struct backend_request *request)
{
    struct http_framing none = {HTTP_BODY_NONE, 0};
    struct http_fields fields = {NULL, 0, 0};
    struct buf text;
    bool ok;

    buf_init(&text, FCGI_PARAMS_MAX);
    ok = http_write_request(
             &text, request->head, request->peer, &none, false, true) &&
         read_fields(buf_span(&text), &fields);
    for (size_t i = 0; ok && i < fields.count; i++)
        if (is_passed(fields.items[i].name) && is_first(&fields, i))
            ok = add_field(out, &fields, i);
    free(fields.items);
    buf_fini(&text);
    return ok;
}

bool
fcgi_params_write(struct buf *out, const struct backend_request *request,
    struct fcgi_script *script, uint64_t content_len)
{
    const struct http_request *head = request->head;

    return add_script(out, request, script) &&
           add_request(out, head, content_len) &&
           add_server(out, head, request->peer) && add_fields(out, request);
}
