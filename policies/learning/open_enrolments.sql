select private.close_table('private.open_enrolments');

-- no grant: definer functions read the view
