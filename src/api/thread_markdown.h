/* A thread as a text people read: Markdown, with the words as they were said, and what tools did.
 */
#pragma once
#include "base/strbuf.h"
#include "store/threads.h"

void thread_markdown_head(struct strbuf *out, const struct thread_row *t);
/* Pictures and reasoning are left out but for a note. */
void thread_markdown_message(struct strbuf *out, const struct thread_message *m);
