/*
 * The opening handshake of WebSocket, both sides of it.
 * Input: heads. Output: is it right, and if not, why and what to answer.
 */
#include "wsgate/http/ws_upgrade.h"

#include "wsgate/http/http_headers.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

enum {
    WS_KEY_LEN = 24 /* base64 of 16 bytes (RFC 6455 4.2.1) */
};
static const char ws_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool
ws_upgrade_is_wanted(const struct http_request *head)
{
    return head->method == HTTP_GET && head->is_upgrade &&
           http_field_has_token(&head->fields, "Upgrade", "websocket");
}

static bool
is_base64(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '+' || c == '/';
}

static bool
is_key(struct span key)
{
    if (key.len != WS_KEY_LEN || !span_ends(key, SPAN_LIT("==")))
        return false;
    for (size_t i = 0; i < WS_KEY_LEN - 2; i++)
        if (!is_base64(key.data[i]))
            return false;
    return true;
}

static bool
refuse(unsigned *status, unsigned code, struct err *err, const char *text)
{
    *status = code;
    return err_set(err, ERR_FORMAT, "%s", text);
}

static bool
check_version(
    const struct http_fields *fields, unsigned *status, struct err *err)
{
    struct span version = http_field_value(fields, "Sec-WebSocket-Version");

    if (http_field_count(fields, "Sec-WebSocket-Version") > 1)
        return refuse(status, 400, err, "more than one Sec-WebSocket-Version");
    if (!span_eq(version, SPAN_LIT("13")))
        return refuse(status, 426, err, "Sec-WebSocket-Version is not 13");
    return true;
}

static bool
check_key(const struct http_fields *fields, unsigned *status, struct err *err)
{
    if (http_field_count(fields, "Sec-WebSocket-Key") != 1)
        return refuse(status, 400, err, "not exactly one Sec-WebSocket-Key");
    if (!is_key(http_field_value(fields, "Sec-WebSocket-Key")))
        return refuse(status, 400, err,
            "Sec-WebSocket-Key is not the base64 of 16 bytes");
    return true;
}

bool
ws_upgrade_check_request(
    const struct http_request *head, unsigned *status, struct err *err)
{
    if (head->method != HTTP_GET)
        return refuse(status, 400, err, "WebSocket upgrade without GET");
    if (head->minor < 1)
        return refuse(status, 400, err, "WebSocket upgrade in HTTP/1.0");
    if (!ws_upgrade_is_wanted(head))
        return refuse(
            status, 400, err, "Upgrade and Connection do not ask for it");
    if (head->body == HTTP_BODY_CHUNKED || head->length > 0)
        return refuse(status, 400, err, "WebSocket upgrade with a body");
    return check_version(&head->fields, status, err) &&
           check_key(&head->fields, status, err);
}

bool
ws_upgrade_accept(struct span key, char out[WS_ACCEPT_SIZE])
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char text[WS_KEY_LEN + sizeof(ws_guid) - 1];

    if (key.len != WS_KEY_LEN)
        return false;
    memcpy(text, key.data, WS_KEY_LEN);
    memcpy(text + WS_KEY_LEN, ws_guid, sizeof(ws_guid) - 1);
    if (SHA1(text, sizeof(text), digest) == NULL)
        return false;
    return EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest)) ==
           WS_ACCEPT_SIZE - 1;
}

/* Is `wanted` an element of the lists of that name, up to ";"? Names of
 * subprotocols and extensions keep their case (RFC 6455 4.1). */
static bool
was_offered(
    const struct http_fields *fields, const char *name, struct span wanted)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct span list = fields->items[i].value;
        struct span part = SPAN_EMPTY;

        if (!span_ieq(fields->items[i].name, span_str(name)))
            continue;
        while (span_split(&list, ',', &part)) {
            part = span_sub(part, 0, span_find(part, ';'));
            if (span_eq(span_trim(part), wanted))
                return true;
        }
    }
    return false;
}

static bool
check_protocol(const struct http_fields *request,
    const struct http_fields *response, struct err *err)
{
    size_t count = http_field_count(response, "Sec-WebSocket-Protocol");
    struct span chosen = http_field_value(response, "Sec-WebSocket-Protocol");

    if (count > 1)
        return err_set(err, ERR_FORMAT, "101 chooses two subprotocols");
    if (count == 1 &&
        (chosen.len == 0 ||
            !was_offered(request, "Sec-WebSocket-Protocol", chosen)))
        return err_set(
            err, ERR_FORMAT, "101 chooses a subprotocol not offered");
    return true;
}

/* Every extension of one field's list must have been offered. */
static bool
check_extension_list(
    const struct http_fields *request, struct span list, struct err *err)
{
    struct span part = SPAN_EMPTY;

    while (span_split(&list, ',', &part)) {
        part = span_trim(span_sub(part, 0, span_find(part, ';')));
        if (!was_offered(request, "Sec-WebSocket-Extensions", part))
            return err_set(
                err, ERR_FORMAT, "101 uses an extension not offered");
    }
    return true;
}

static bool
check_extensions(const struct http_fields *request,
    const struct http_fields *response, struct err *err)
{
    for (size_t i = 0; i < response->count; i++)
        if (span_ieq(response->items[i].name,
                SPAN_LIT("Sec-WebSocket-Extensions")) &&
            !check_extension_list(request, response->items[i].value, err))
            return false;
    return true;
}

static bool
check_accept(const struct http_fields *request,
    const struct http_fields *response, struct err *err)
{
    char wanted[WS_ACCEPT_SIZE];

    if (http_field_count(response, "Sec-WebSocket-Accept") != 1)
        return err_set(
            err, ERR_FORMAT, "101 without exactly one Sec-WebSocket-Accept");
    if (!ws_upgrade_accept(
            http_field_value(request, "Sec-WebSocket-Key"), wanted) ||
        !span_eq(http_field_value(response, "Sec-WebSocket-Accept"),
            span_str(wanted)))
        return err_set(
            err, ERR_FORMAT, "Sec-WebSocket-Accept does not fit the key");
    return true;
}

bool
ws_upgrade_check_response(const struct http_request *request,
    const struct http_response *response, struct err *err)
{
    const struct http_fields *fields = &response->fields;

    if (response->status != 101)
        return err_set(err, ERR_FORMAT, "status %u, not 101", response->status);
    if (!http_field_has_token(fields, "Upgrade", "websocket"))
        return err_set(err, ERR_FORMAT, "101 without Upgrade: websocket");
    if (!http_field_has_token(fields, "Connection", "upgrade"))
        return err_set(err, ERR_FORMAT, "101 without Connection: upgrade");
    return check_accept(&request->fields, fields, err) &&
           check_protocol(&request->fields, fields, err) &&
           check_extensions(&request->fields, fields, err);
}
