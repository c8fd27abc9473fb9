/*
 * What each output should have, from what certificates offer.
 * Input: offers of this turn, the time. Output: a wish per output.
 */
#include "ocspd/notify_private.h"

#include <string.h>

#define LEAD_SHARE 10 /* ours: of a short life at most a tenth */

/* ---- what certificates offer -------------------------------------------- */

static bool
has_bytes(const struct notify_offer *offer)
{
    return offer->in_spool || offer->der.len > 0;
}

/* The certificate in use before one that was replaced, one with a response
 * before one without. */
static int
rank(const struct notify_offer *offer)
{
    if (!has_bytes(offer) || offer->is_leaving)
        return 0;
    return offer->is_gone ? 1 : 2;
}

void
notify_offer(struct notify *notify, const struct notify_offer *offer)
{
    struct source *source = notify_find_source(notify, offer->path);
    struct output *output, *next;

    if (source != NULL &&
        (!source->has_offer || rank(&source->offer) < rank(offer))) {
        source->offer = *offer;
        source->has_offer = true;
    }
    if (!offer->is_gone)
        return;
    HASH_ITER(hh, notify->outputs, output, next)
    if (strcmp(output->has.fp, offer->fp) == 0) {
        output->old = *offer;
        output->has_old = true;
    }
}

/* When what is offered must be out of the output. */
static int64_t
end_of(const struct notify_kind *kind, int64_t this_update, int64_t life_end,
    int64_t removal_at)
{
    int64_t share = (life_end - this_update) / LEAD_SHARE;

    return removal_at - (share < kind->lead_s ? share : kind->lead_s);
}

/* The spool's file is what the digest is about. */
static bool
is_settled(const struct notify_offer *offer)
{
    return offer->in_spool && offer->der.len == 0 && offer->digest[0] != '\0';
}

/* What is to be in the output of a kind that holds the bytes or names their
 * file. */
static enum notify_wish
wish_for(const struct output *output, const struct notify_offer *offer,
    int64_t ends_at, int64_t now)
{
    bool follows = output->kind->pace != NOTIFY_OWN_BYTES;

    if (offer->is_leaving || !has_bytes(offer) || ends_at <= now)
        return WISH_NONE;
    if (follows && !offer->in_spool)
        return WISH_NONE;
    if (offer->digest[0] == '\0' || (follows && !is_settled(offer)))
        return strcmp(output->has.fp, offer->fp) == 0 &&
                       output->has.ends_at > now
                   ? WISH_AS_IS
                   : WISH_NONE;
    return WISH_CONTENT;
}

/* What sends others to the spool follows what is there, to its end. */
static enum notify_wish
wish_after(const struct notify_offer *offer)
{
    if (!offer->in_spool)
        return WISH_NONE;
    return is_settled(offer) ? WISH_CONTENT : WISH_AS_IS;
}

enum notify_wish
notify_wish(const struct output *output, const struct notify_offer *offer,
    int64_t now, struct content *content)
{
    enum notify_wish answer;

    memset(content, 0, sizeof(*content));
    if (offer == NULL)
        return WISH_NONE;
    content->ends_at = end_of(
        output->kind, offer->this_update, offer->life_end, offer->removal_at);
    answer = output->kind->pace == NOTIFY_AFTER_SPOOL
                 ? wish_after(offer)
                 : wish_for(output, offer, content->ends_at, now);
    if (answer == WISH_CONTENT) {
        (void)span_to_cstr(
            span_str(offer->fp), content->fp, sizeof(content->fp));
        (void)span_to_cstr(
            span_str(offer->digest), content->digest, sizeof(content->digest));
    }
    if (answer == WISH_NONE)
        content->ends_at = 0;
    return answer;
}

/* The offer of its certificate; while that has nothing, of the one before: of
 * several that were replaced, the one that was published. */
const struct notify_offer *
notify_choose(const struct output *output)
{
    const struct source *source = output->source;
    bool has_old = output->has_old && rank(&output->old) > 0;

    if (source->has_offer &&
        rank(&source->offer) > (has_old ? rank(&output->old) : 0))
        return &source->offer;
    if (output->has_old)
        return &output->old;
    return source->has_offer ? &source->offer : NULL;
}
