/*
 * URLs taken apart by curl's own parser.
 * Input: a URL from a certificate, a redirect or the operator. Output: parts.
 */
#include "ocspd/fetch_url.h"

#include "shared/buf.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

void
fetch_url_fini(struct fetch_url *parts)
{
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    *parts = (struct fetch_url){NULL, NULL, NULL};
}

bool
fetch_url_read(const char *url, struct fetch_url *out)
{
    struct fetch_url parts = {NULL, NULL, NULL};
    CURLU *u = curl_url();
    bool ok =
        u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &parts.scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &parts.host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &parts.port, CURLU_DEFAULT_PORT) ==
            CURLUE_OK &&
        (strcmp(parts.scheme, "http") == 0 ||
            strcmp(parts.scheme, "https") == 0);

    curl_url_cleanup(u);
    if (ok)
        *out = parts;
    else
        fetch_url_fini(&parts);
    return ok;
}

char *
fetch_url_responder(const char *url)
{
    struct fetch_url parts;
    struct buf text;
    char *key = NULL;

    if (!fetch_url_read(url, &parts))
        return strdup(url);
    buf_init(&text, strlen(url) + 16);
    if (buf_add_fmt(&text, "%s:%s", parts.host, parts.port))
        key = strdup(buf_cstr(&text));
    buf_fini(&text);
    fetch_url_fini(&parts);
    return key;
}
