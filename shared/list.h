/*
 * Intrusive doubly linked list: the node lives in the object, the list owns
 * nothing. A node is in one list at a time; list_remove() may be called twice.
 */
#ifndef SHARED_LIST_H
#define SHARED_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_ENTRY(node, type, member)                                         \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* `it` may be removed within the body; no other node may. */
#define LIST_EACH(head, it)                                                    \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);  \
         it = it##_next, it##_next = it->next)

/* For the head and for a node that is in no list yet. */
static inline void
list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool
list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Is this node in a list? (A node must have been through list_init.) */
static inline bool
list_is_linked(const struct list *node)
{
    return node->next != node;
}

static inline void
list_add_after(struct list *at, struct list *node)
{
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
}

static inline void
list_add_first(struct list *head, struct list *node)
{
    list_add_after(head, node);
}

static inline void
list_add_last(struct list *head, struct list *node)
{
    list_add_after(head->prev, node);
}

static inline void
list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#endif
