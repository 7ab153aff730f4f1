/* Doubly linked intrusive list; the head is a node of its own. An unlinked node is all zero. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head) {
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head) {
    return head->next == head;
}

static inline bool list_linked(const struct list *node) {
    return node->next != NULL;
}

static inline void list_push(struct list *head, struct list *node) { /* at the end */
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node) {
    if (!node->next) {
        return;
    }
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static inline struct list *list_pop(struct list *head) { /* from the front; NULL when empty */
    if (list_empty(head)) {
        return NULL;
    }
    struct list *node = head->next;
    list_remove(node);
    return node;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* The body may remove `node`, and nothing else. */
#define list_each(node, head)                                                                      \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);              \
         node = node##_next, node##_next = node->next)
