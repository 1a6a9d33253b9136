grant execute on function private.claim_mail(bigint) to worker;
grant execute on function private.address_for_password_link(uuid) to worker;
