/* The handlers the table of routes names, one file a subject. Each answers, or fails with an error.
 */
#pragma once
#include "api/call.h"

/* chat.c */
may_yield int handle_chat(struct call *c, struct err *err) must_check;
/* turns.c */
may_yield int handle_turn_get(struct call *c, struct err *err) must_check;
may_yield int handle_turn_events(struct call *c, struct err *err) must_check;
may_yield int handle_turn_cancel(struct call *c, struct err *err) must_check;
/* interrupts.c */
may_yield int handle_interrupt_list(struct call *c, struct err *err) must_check;
may_yield int handle_interrupt_get(struct call *c, struct err *err) must_check;
may_yield int handle_interrupt_answer(struct call *c, struct err *err) must_check;
/* threads.c */
may_yield int handle_thread_list(struct call *c, struct err *err) must_check;
may_yield int handle_thread_create(struct call *c, struct err *err) must_check;
may_yield int handle_thread_patch(struct call *c, struct err *err) must_check;
may_yield int handle_thread_delete(struct call *c, struct err *err) must_check;
may_yield int handle_thread_cancel(struct call *c, struct err *err) must_check;
may_yield int handle_thread_checkpoints(struct call *c, struct err *err) must_check;
may_yield int handle_thread_fork(struct call *c, struct err *err) must_check;
/* export.c */
may_yield int handle_export(struct call *c, struct err *err) must_check;
may_yield int handle_thread_export(struct call *c, struct err *err) must_check;
/* thread_messages.c */
may_yield int handle_thread_get(struct call *c, struct err *err) must_check;
may_yield int handle_message_image(struct call *c, struct err *err) must_check;
/* search.c */
may_yield int handle_search(struct call *c, struct err *err) must_check;
/* account.c */
may_yield int handle_login(struct call *c, struct err *err) must_check;
may_yield int handle_logout(struct call *c, struct err *err) must_check;
/* me.c */
may_yield int handle_me(struct call *c, struct err *err) must_check;
may_yield int handle_profile_get(struct call *c, struct err *err) must_check;
may_yield int handle_profile_put(struct call *c, struct err *err) must_check;
/* connections.c */
may_yield int handle_connection_list(struct call *c, struct err *err) must_check;
may_yield int handle_connection_tools(struct call *c, struct err *err) must_check;
may_yield int handle_connection_reconnect(struct call *c, struct err *err) must_check;
/* credentials.c */
may_yield int handle_credential_list(struct call *c, struct err *err) must_check;
may_yield int handle_credential_put(struct call *c, struct err *err) must_check;
may_yield int handle_credential_delete(struct call *c, struct err *err) must_check;
/* models.c */
may_yield int handle_models(struct call *c, struct err *err) must_check;
may_yield int handle_models_discover(struct call *c, struct err *err) must_check;
/* oauth.c */
may_yield int handle_oauth_authorize(struct call *c, struct err *err) must_check;
may_yield int handle_oauth_start(struct call *c, struct err *err) must_check;
may_yield int handle_oauth_callback(struct call *c, struct err *err) must_check;
may_yield int handle_oauth_client_metadata(struct call *c, struct err *err) must_check;
/* notifications.c */
may_yield int handle_notification_list(struct call *c, struct err *err) must_check;
may_yield int handle_notification_read(struct call *c, struct err *err) must_check;
/* operation.c */
may_yield int handle_health(struct call *c, struct err *err) must_check;
may_yield int handle_metrics(struct call *c, struct err *err) must_check;
/* usage.c */
may_yield int handle_usage(struct call *c, struct err *err) must_check;
may_yield int handle_admin_usage(struct call *c, struct err *err) must_check;
/* keys.c */
may_yield int handle_key_list(struct call *c, struct err *err) must_check;
may_yield int handle_key_create(struct call *c, struct err *err) must_check;
may_yield int handle_key_revoke(struct call *c, struct err *err) must_check;
may_yield int handle_admin_key_list(struct call *c, struct err *err) must_check;
may_yield int handle_admin_key_create(struct call *c, struct err *err) must_check;
may_yield int handle_admin_key_revoke(struct call *c, struct err *err) must_check;
may_yield int handle_admin_key_change(struct call *c, struct err *err) must_check;
/* sessions.c */
may_yield int handle_session_list(struct call *c, struct err *err) must_check;
may_yield int handle_session_end(struct call *c, struct err *err) must_check;
/* admin.c */
may_yield int handle_admin_users(struct call *c, struct err *err) must_check;
may_yield int handle_admin_audit(struct call *c, struct err *err) must_check;
/* mcp.c */
may_yield int handle_mcp(struct call *c, struct err *err) must_check;
/* openapi.c */
may_yield int handle_openapi(struct call *c, struct err *err) must_check;
/* web.c */
may_yield int handle_web_page(struct call *c, struct err *err) must_check;
may_yield int handle_web_file(struct call *c, struct err *err) must_check;
may_yield int handle_web_root_file(struct call *c, struct err *err) must_check;
/* ws_session.c */
may_yield int handle_ws(struct call *c, struct err *err) must_check;
/* agui.c */
may_yield int handle_agui(struct call *c, struct err *err) must_check;
/* openai_models.c */
may_yield int handle_openai_models(struct call *c, struct err *err) must_check;
may_yield int handle_openai_model(struct call *c, struct err *err) must_check;
/* openai_chat.c */
may_yield int handle_openai_chat(struct call *c, struct err *err) must_check;
/* openai_responses.c */
may_yield int handle_openai_responses(struct call *c, struct err *err) must_check;
/* tools.c */
may_yield int handle_tools(struct call *c, struct err *err) must_check;
may_yield int handle_policy_list(struct call *c, struct err *err) must_check;
may_yield int handle_policy_put(struct call *c, struct err *err) must_check;
may_yield int handle_policy_delete(struct call *c, struct err *err) must_check;
