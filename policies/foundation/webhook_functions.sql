grant execute on function private.receive_webhook(text, text, text, jsonb) to edge;
grant execute on function private.purge_webhook_inbox() to worker;
