/* Threads and their messages as JSON. */
#pragma once
#include "base/json.h"
#include "store/threads.h"

/* The object is left open. */
void thread_json_begin(struct jsonw *w, const struct thread_row *t);
/* {"seq","id","turn_id","created_at", and what the stored message has}. */
void thread_json_message(struct jsonw *w, const struct thread_message *m);

/* A canonical message with the addresses of its images instead of their bytes; the text itself when
 * it has none. The bytes are those of thread_json_image, counted from 0; a picture that is an
 * address already stays one. */
struct str thread_json_link_images(struct arena *arena, struct str thread_id,
                                   const struct thread_message *m);
/* False when the message has no such image. */
bool thread_json_image(struct arena *arena, struct str message, int64_t index,
                       struct str *ret_media_type, struct str *ret_base64);
