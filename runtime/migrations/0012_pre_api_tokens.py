from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('roost', '0011_pre_webhook_targets'),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('row_version', models.BigIntegerField(default=1, editable=False, verbose_name='row version')),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80, unique=True, verbose_name='name')),
                ('prefix', models.CharField(max_length=8, verbose_name='begins with')),
                ('token_hash', models.CharField(max_length=64, unique=True, verbose_name='SHA-256')),
                ('previous_hash', models.CharField(blank=True, default='', max_length=64, verbose_name='SHA-256 of the one before')),
                ('previous_until', models.DateTimeField(blank=True, null=True, verbose_name='the one before is good until')),
                ('scopes', models.JSONField(default=list, verbose_name='scopes')),
                ('namespaces', models.JSONField(default=list, verbose_name='namespaces')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires at')),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='revoked at')),
                ('revoked_by', models.CharField(blank=True, default='', editable=False, max_length=200, verbose_name='revoked by')),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last used')),
                ('note', models.CharField(blank=True, default='', max_length=500, verbose_name='note')),
                ('created_at', models.DateTimeField(editable=False, verbose_name='made at')),
                ('created_by', models.CharField(blank=True, default='', editable=False, max_length=200, verbose_name='made by')),
            ],
            options={
                'verbose_name': 'API token',
                'verbose_name_plural': 'API tokens',
                'db_table': 'roost_api_token',
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('previous_hash', ''), _negated=True), fields=('previous_hash',), name='roost_api_token_previous'), models.CheckConstraint(condition=models.Q(('token_hash', ''), _negated=True), name='roost_api_token_hash')],
            },
        ),
    ]
