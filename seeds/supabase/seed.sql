-- Two users who can sign in at once: ada@example.com and bob@example.com, password "password".
insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id::uuid, 'authenticated', 'authenticated', email, extensions.crypt('password', extensions.gen_salt('bf', 8)), now(),
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('username', username), now(), now()
from (values ('11111111-1111-4111-8111-111111111111', 'ada@example.com', 'ada'), ('22222222-2222-4222-8222-222222222222', 'bob@example.com', 'bob')) as seed (id, email, username);

insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
select id::text, id, jsonb_build_object('sub', id, 'email', email, 'email_verified', true), 'email', now(), now() from auth.users;

-- What pg_dump writes works as well.
COPY public.lists (id, name) FROM stdin;
1	groceries
2	work
3	someday
\.

COPY public.todos (user_id, list_id, title, done, priority, tags, details) FROM stdin;
11111111-1111-4111-8111-111111111111	1	Buy apples and bread	f	normal	{food,shop}	{"shop": {"name": "corner", "open": true}}
11111111-1111-4111-8111-111111111111	2	Write the quarterly report	t	high	{writing}	{"pages": 12}
22222222-2222-4222-8222-222222222222	2	Call the printer's help line	f	low	{phone}	{}
22222222-2222-4222-8222-222222222222	\N	Learn to bake bread	f	normal	{food,learning}	{}
\.

insert into public.documents (title, embedding) values ('about cats', '[1, 0, 0]'), ('about dogs', '[0.9, 0.1, 0]'), ('about tax law', '[0, 0, 1]');

select setval(pg_get_serial_sequence('public.lists', 'id'), 100);
