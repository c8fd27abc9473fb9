/*
 * The response of an HTTP server, from bytes to events.
 * Input: bytes of a backend_link. Output: interim heads, head and body to the
 * caller of the exchange; what ended it to the kind of backend.
 */
#include "wsgate/backend/backend_reply.h"

bool
backend_reply_init(
    struct backend_reply *reply, struct backend_link *link, bool is_upgrade)
{
    const struct http_request *asked = link->core->request.head;

    *reply = (struct backend_reply){.link = link, .is_upgrade = is_upgrade};
    reply->parser = http_parser_new_response(&http_limits_default);
    if (reply->parser == NULL)
        return false;
    http_parser_expect(reply->parser, asked->method, is_upgrade);
    return true;
}

void
backend_reply_fini(struct backend_reply *reply)
{
    http_parser_free(reply->parser);
    reply->parser = NULL;
}

/* Interim responses (RFC 9110 15.2) are free of charge for a server, and the
 * client's connection has to take them all: so they are counted. */
static enum backend_reply_step
take_interim(struct backend_reply *reply, const struct http_response *head,
    struct err *err)
{
    reply->interims++;
    if (reply->interims > BACKEND_INTERIM_MAX) {
        (void)err_set(err, ERR_LIMIT, "more than %d interim responses",
            BACKEND_INTERIM_MAX);
        return BACKEND_REPLY_BROKEN;
    }
    if (head->status != 100) /* we answered Expect ourselves: 100 ends here */
        backend_core_interim(reply->link->core, head);
    return BACKEND_REPLY_MORE;
}

static enum backend_reply_step
take_head(struct backend_reply *reply, struct err *err)
{
    const struct http_response *head = http_parser_response(reply->parser);

    reply->is_interim = head->status < 200 && head->status != 101;
    if (reply->is_interim)
        return take_interim(reply, head, err);
    if (head->status != 101)
        backend_core_head(reply->link->core, head);
    return BACKEND_REPLY_MORE;
}

/* The message is complete; what does that mean? */
static enum backend_reply_step
take_end(struct backend_reply *reply, struct err *err)
{
    const struct http_response *head = http_parser_response(reply->parser);

    if (reply->is_interim) {
        http_parser_expect(reply->parser,
            reply->link->core->request.head->method, reply->is_upgrade);
        return BACKEND_REPLY_MORE;
    }
    if (head->status != 101)
        return BACKEND_REPLY_DONE;
    if (reply->is_upgrade)
        return BACKEND_REPLY_UPGRADED;
    (void)err_set(err, ERR_FORMAT, "101 without an upgrade asked for");
    return BACKEND_REPLY_BROKEN;
}

/* False: *step is the answer of the feed. */
static bool
take_event(struct backend_reply *reply, enum http_event event, struct span data,
    enum backend_reply_step *step, struct err *err)
{
    *step = BACKEND_REPLY_MORE;
    switch (event) {
    case HTTP_EVENT_MORE:
        return false;
    case HTTP_EVENT_HEAD:
        *step = take_head(reply, err);
        return *step == BACKEND_REPLY_MORE;
    case HTTP_EVENT_BODY:
        backend_core_body(reply->link->core, data);
        return true;
    case HTTP_EVENT_END:
        *step = take_end(reply, err);
        return *step == BACKEND_REPLY_MORE;
    case HTTP_EVENT_ERROR:
        *step = BACKEND_REPLY_BROKEN;
        return false;
    }
    return false;
}

enum backend_reply_step
backend_reply_feed(
    struct backend_reply *reply, struct span in, size_t *used, struct err *err)
{
    struct backend_core *core = reply->link->core;
    enum backend_reply_step step = BACKEND_REPLY_MORE;
    bool goes_on = true;

    *used = 0;
    reply->is_begun = reply->is_begun || in.len > 0;
    /* Once all is eaten the parser may still owe END: a pause waits for it. */
    while (goes_on && backend_core_is_live(core) &&
           (!reply->link->is_paused || *used == in.len)) {
        struct span data = SPAN_EMPTY;
        size_t eaten = 0;
        enum http_event event = http_parser_feed(
            reply->parser, span_from(in, *used), &eaten, &data, err);

        *used += eaten;
        goes_on = take_event(reply, event, data, &step, err);
    }
    return step;
}

enum backend_reply_step
backend_reply_eof(struct backend_reply *reply, struct err *err)
{
    enum http_event event = http_parser_eof(reply->parser, err);

    if (event == HTTP_EVENT_END && !reply->is_interim)
        return BACKEND_REPLY_DONE;
    if (event != HTTP_EVENT_ERROR)
        (void)err_set(err, ERR_FORMAT, "closed without an answer");
    return BACKEND_REPLY_BROKEN;
}
