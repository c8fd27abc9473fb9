/*
 * Who really asks: X-Forwarded-For read from trusted proxies only.
 * Input: a request head, the direct peer, the trusted ranges. Output: the
 * http_peer that request writers and FastCGI use.
 */
#include "wsgate/client/forwarded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>

static bool
is_trusted(
    const struct cidr *trusted, size_t count, const struct sockaddr *address)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&trusted[i], address))
            return true;
    return false;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80". */
static bool
read_address(struct span text, struct sockaddr_storage *out, char ip[64])
{
    struct sockaddr_in6 *in6 = (void *)out;
    struct sockaddr_in *in = (void *)out;

    memset(out, 0, sizeof(*out));
    if (span_starts(text, SPAN_LIT("[")))
        text = span_sub(text, 1, span_find(text, ']') - 1);
    else if (span_find(text, '.') < text.len)
        text = span_sub(text, 0, span_find(text, ':'));
    if (!span_to_cstr(text, ip, 64))
        return false;
    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1)
        in->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1)
        in6->sin6_family = AF_INET6;
    else
        return false;
    return true;
}

/*
 * The list of every X-Forwarded-For field, one comma list. The rightmost entry
 * that is no trusted proxy is the client; what stands left of it, the client
 * may have made up.
 */
static void
read_chain(struct forwarded *f, const struct http_request *head,
    const struct cidr *trusted, size_t count)
{
    struct buf list;
    struct span rest;

    buf_init(&list, FORWARDED_CHAIN_MAX);
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct http_field *field = &head->fields.items[i];

        if (!span_ieq(field->name, SPAN_LIT("X-Forwarded-For")))
            continue;
        if ((list.len > 0 && !buf_add_str(&list, ", ")) ||
            !buf_add(&list, field->value))
            goto out; /* absurdly long: as if there were none */
    }
    rest = buf_span(&list);
    while (rest.len > 0) {
        struct sockaddr_storage address;
        size_t from = rest.len;
        char ip[64];

        while (from > 0 && rest.data[from - 1] != ',')
            from--;
        if (!read_address(span_trim(span_from(rest, from)), &address, ip))
            break;
        memcpy(f->client, ip, sizeof(f->client));
        if (!is_trusted(trusted, count, (void *)&address))
            break;
        rest = span_sub(rest, 0, from == 0 ? 0 : from - 1);
    }
    (void)buf_add(&f->chain, buf_span(&list));
out:
    buf_fini(&list);
}

static bool
is_plain_id(struct span id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = id.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
            !(c >= 'a' && c <= 'z') && memchr("-_.+/=:", c, 7) == NULL)
            return false;
    }
    return true;
}

static void
make_id(char out[REQUEST_ID_MAX + 1])
{
    unsigned char bytes[16] = {0};

    (void)RAND_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void
choose_id(struct forwarded *f, const struct http_request *head)
{
    struct span id = http_field_value(&head->fields, "X-Request-Id");

    if (!is_plain_id(id) ||
        !span_to_cstr(id, f->request_id, sizeof(f->request_id)))
        make_id(f->request_id);
}

void
forwarded_init(struct forwarded *f, const struct http_request *head,
    const char *peer_ip, const struct sockaddr *peer_address,
    const struct cidr *trusted, size_t trusted_count)
{
    const char *direct = peer_ip[0] != 0 ? peer_ip : "unknown";

    buf_init(&f->chain, FORWARDED_CHAIN_MAX + 80);
    buf_init(&f->host, head->authority.len + 1);
    (void)snprintf(f->client, sizeof(f->client), "%s", direct);
    if (peer_ip[0] == 0 || is_trusted(trusted, trusted_count, peer_address))
        read_chain(f, head, trusted, trusted_count);
    if (f->chain.len > 0)
        (void)buf_add_str(&f->chain, ", ");
    (void)buf_add_str(&f->chain, direct);
    (void)buf_add(&f->host, head->authority);
    choose_id(f, head);
    f->peer = (struct http_peer){
        .client = f->client,
        .forwarded_for = buf_cstr(&f->chain),
        .request_id = f->request_id,
        .host = buf_cstr(&f->host),
    };
}

void
forwarded_fini(struct forwarded *f)
{
    buf_fini(&f->chain);
    buf_fini(&f->host);
}
