select private.close_table('private.pool_subjects');

-- no grant to anybody: functions read it
