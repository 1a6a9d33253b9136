select private.close_table('private.current_entitlements');

-- no grant to anybody: functions read it
